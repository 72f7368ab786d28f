# The programs that a Kubernetes consists of: its own and helm are built with Go, the others come from Debian. Sourced by
# provision.sh.

KUBERNETES_VERSION=v1.36.3
HELM_VERSION=v4.3.1
DEBIAN_NAME=cluster-debian
DEBIAN_PACKAGES=(etcd-server containerd runc containernetworking-plugins nftables)
KUBERNETES_TOOLS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

kubernetes_linker_flags() {
  local package=k8s.io/component-base/version
  printf '%s' "-s -w -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=36 -X $package.gitTreeState=clean"
}

helm_linker_flags() {
  printf '%s' "-s -w -X helm.sh/helm/v4/internal/version.version=$HELM_VERSION"
}

find_kubernetes() {
  local tool
  KUBERNETES_BIN=$(built_folder kubernetes "$(kubernetes_linker_flags)")
  for tool in "${KUBERNETES_TOOLS[@]}"; do
    if [ "$tool" = kubectl ]; then
      says "$KUBERNETES_VERSION" "$KUBERNETES_BIN/$tool" version --client || return 1
    else
      says "$KUBERNETES_VERSION" "$KUBERNETES_BIN/$tool" --version || return 1
    fi
  done
}

find_helm() {
  HELM_BIN=$(built_folder helm "$(helm_linker_flags)")
  says "$HELM_VERSION" "$HELM_BIN/helm" version
}

find_debian() {
  DEBIAN_ROOT=$CACHE/$DEBIAN_NAME
  DEBIAN_LIBS=$(libraries_of "$DEBIAN_ROOT")
  local bin=$DEBIAN_ROOT/usr/bin cni=$DEBIAN_ROOT/usr/lib/cni
  says 'etcd Version' "$bin/etcd" --version && says containerd "$bin/containerd" --version &&
    says ctr "$bin/ctr" --version && says seccomp "$DEBIAN_ROOT/usr/sbin/runc" --version &&
    says nftables env "LD_LIBRARY_PATH=$DEBIAN_LIBS" "$DEBIAN_ROOT/usr/sbin/nft" --version &&
    [ -x "$bin/containerd-shim-runc-v2" ] && [ -x "$cni/bridge" ] && [ -x "$cni/host-local" ] && [ -x "$cni/loopback" ]
}

provision_kubernetes() {
  lock lock-cluster 3600
  find_debian || unpack_debian "$DEBIAN_NAME" "${DEBIAN_PACKAGES[@]}"
  find_debian || fail "a program in $DEBIAN_ROOT does not run. Delete the folder and run again"
  find_kubernetes || build_go kubernetes "$(kubernetes_linker_flags)" "$KUBERNETES_BIN" tool "this takes about ten minutes"
  find_kubernetes || fail "a program in $KUBERNETES_BIN does not run. Try $KUBERNETES_BIN/kubelet --version"
  find_helm || build_go helm "$(helm_linker_flags)" "$HELM_BIN" tool "this takes a minute"
  find_helm || fail "helm was built but does not run. Try $HELM_BIN/helm version"
  get_prometheus
  say "found $DEBIAN_ROOT, $KUBERNETES_BIN, $HELM_BIN, $PROMTOOL"
}

where_kubernetes() {
  find_debian && find_kubernetes && find_helm && find_prometheus || fail "a program of Kubernetes is missing. Run 'make provision-cluster'"
  printf '%s=%s\n' DEBIAN_ROOT "$DEBIAN_ROOT" DEBIAN_LIBS "$DEBIAN_LIBS" KUBERNETES_BIN "$KUBERNETES_BIN" HELM_BIN "$HELM_BIN" PROMETHEUS "$PROMETHEUS" PROMTOOL "$PROMTOOL"
}
