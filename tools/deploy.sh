#!/usr/bin/env bash
# Installs the charts into the cluster of KUBECONFIG, or else of `make cluster`, and prints the next step. The cluster's
# nodes must have this checkout's images. BOBOYKA_CHARTS names a folder with other charts.
set -euo pipefail
cd "$(dirname "$0")/.."
own=$PWD/target/cluster/kubeconfig
if [ -z "${KUBECONFIG:-}" ]; then
  [ -e "$own" ] || { echo "deploy: FAILED: there is no cluster. Run 'make cluster' first, or set KUBECONFIG" >&2; exit 1; }
  export KUBECONFIG=$own
fi
where=$(tools/provision.sh --where-cluster)
helm=$(sed -n 's/^HELM_BIN=//p' <<<"$where")/helm
kubectl=$(sed -n 's/^KUBERNETES_BIN=//p' <<<"$where")/kubectl
namespace=boboyka-system
charts=${BOBOYKA_CHARTS:-charts}

"$helm" upgrade --install boboyka-crds "$charts/boboyka-crds" --namespace "$namespace" --create-namespace >/dev/null
"$kubectl" wait --for=condition=Established --timeout=300s crd \
  boboykaintegrations.boboyka.sapixdb.com boboykastrands.boboyka.sapixdb.com >/dev/null
"$helm" upgrade --install boboyka-operator "$charts/boboyka-operator" --namespace "$namespace" "$@"
"$kubectl" --namespace "$namespace" rollout status deployment/boboyka-operator --timeout=300s
