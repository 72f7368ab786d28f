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
