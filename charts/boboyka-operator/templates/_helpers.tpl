{{- define "boboyka.selector" -}}
app.kubernetes.io/name: boboyka-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "boboyka.labels" -}}
{{ include "boboyka.selector" . }}
app.kubernetes.io/part-of: boboyka
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- /* The reference of an image. Argument: a list of the chart and of values with `repository`, `tag`, `digest`. */ -}}
{{- define "boboyka.image" -}}
{{- $chart := index . 0 }}{{ $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The user name of the operator at the API server. */ -}}
{{- define "boboyka.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Values.serviceAccount.name }}
{{- end }}

{{- /* Whether the operator is a witness; the values of an earlier chart, which `helm upgrade --reuse-values` takes, do not say. */ -}}
{{- define "boboyka.isWitness" -}}
{{- if dig "enabled" true (.Values.witness | default dict) }}true{{ end }}
{{- end }}

{{- /* The names of the ConfigMaps that may have lists of legacy projects, separated by commas; values of an earlier chart do not say. */ -}}
{{- define "boboyka.legacyConfigMaps" -}}
{{- dig "configMaps" (list "boboyka-legacy-projects") (.Values.legacyProjects | default dict) | join "," }}
{{- end }}

{{- /* Whether the chart makes the witness's key: an account that is not the chart's may not do it. */ -}}
{{- define "boboyka.makesWitnessKey" -}}
{{- if and (include "boboyka.isWitness" .) .Values.rbac.create .Values.serviceAccount.create }}true{{ end }}
{{- end }}

{{- /* Selects the namespaces in which pods get a sidecar. */ -}}
{{- define "boboyka.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
{{- if .Values.watchNamespace }}
    operator: In
    values: [{{ .Values.watchNamespace }}]
{{- else }}
    operator: NotIn
    values: [kube-system, {{ .Release.Namespace }}]
{{- end }}
{{- end }}

{{- /* The binding of a policy. It denies requests and records them in the audit log. */ -}}
{{- define "boboyka.binding" -}}
{{- $root := index . 0 }}{{ $name := index . 1 -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "boboyka.labels" $root | nindent 4 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny, Audit]
{{- end }}

{{- /* Whether the sidecar may have an image. Arguments: the root, and the CEL expression of the image. */ -}}
{{- define "boboyka.allowsImage" -}}
{{- $root := index . 0 }}{{ $image := index . 1 -}}
{{- $repositories := list }}
{{- range prepend $root.Values.sidecar.allowedRepositories $root.Values.sidecar.image.repository }}
{{- $repositories = append $repositories (squote .) }}
{{- end -}}
[{{ $repositories | uniq | join ", " }}].exists(repository,
  repository.endsWith('/') ? {{ $image }}.startsWith(repository) :
  {{ $image }} == repository || {{ $image }}.startsWith(repository + '@') ||
  {{ $image }}.startsWith(repository + ':') && !{{ $image }}.substring(repository.size() + 1).contains('/'))
{{- end }}

{{- /* Whether a pod template's or an object's metadata changed beyond the product's labels and annotations. Arguments: the
paths of the new and the old metadata. */ -}}
{{- define "boboyka.keepsMetadata" -}}
{{- $new := index . 0 }}{{ $old := index . 1 -}}
[
  [{{ $new }}.?labels.orValue({}), {{ $old }}.?labels.orValue({})],
  [{{ $new }}.?annotations.orValue({}), {{ $old }}.?annotations.orValue({})]
].all(pair,
  pair[0].all(key, key.startsWith('boboyka.sapixdb.com/') || key in pair[1] && pair[0][key] == pair[1][key]) &&
  pair[1].all(key, key.startsWith('boboyka.sapixdb.com/') || key in pair[0])) &&
{{ $new }}.?ownerReferences.orValue([]) == {{ $old }}.?ownerReferences.orValue([]) &&
{{ $new }}.?finalizers.orValue([]) == {{ $old }}.?finalizers.orValue([])
{{- end }}
