{{- define "boboyka.selector" -}}
app.kubernetes.io/name: boboyka-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "boboyka.labels" -}}
{{ include "boboyka.selector" . }}
app.kubernetes.io/part-of: boboyka
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- /* An image of values `repository`, `tag`, `digest`: a list of the chart and them. */ -}}
{{- define "boboyka.image" -}}
{{- $chart := index . 0 }}{{ $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The operator, as the API server names it. */ -}}
{{- define "boboyka.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Values.serviceAccount.name }}
{{- end }}

{{- /* The namespaces in which pods get a sidecar. */ -}}
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

{{- /* A policy's binding: it denies, and what it denies is in the audit log. */ -}}
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
