{{- define "router.labels" -}}
app.kubernetes.io/name: {{ .Release.Name }}
{{- end -}}

{{- define "router.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* A model's name as a name of Kubernetes. */}}
{{- define "router.routeName" -}}
model-{{ regexReplaceAll "[^a-z0-9-]+" (lower .) "-" | trimAll "-" }}
{{- end -}}

{{/* The Service of an endpoint, by its address; it must be one of the cluster. */}}
{{- define "router.service" -}}
{{- $host := trimSuffix ".svc.cluster.local" .address -}}
{{- $parts := splitList "." $host -}}
{{- if or (eq $host .address) (ne (len $parts) 2) -}}
{{- fail (printf "config.vllm_endpoints: %s: a gateway needs a Service; write NAME.NAMESPACE.svc.cluster.local, or use mode sidecar" .address) -}}
{{- end -}}
{{- if or .tls .path_prefix -}}
{{- fail (printf "config.vllm_endpoints: %s: tls and path_prefix are rendered for the sidecar's Envoy only; use mode sidecar" .name) -}}
{{- end -}}
name: {{ index $parts 0 }}
namespace: {{ index $parts 1 }}
{{- end -}}

{{/* The endpoints of one model, as a list under `endpoints`. Takes config and model. */}}
{{- define "router.endpoints" -}}
{{- $model := index .config.model_config .model -}}
{{- range $key := list "api_key" "health_check" "upstream" -}}
{{- if hasKey $model $key -}}
{{- fail (printf "config.model_config.%s.%s: is rendered for the sidecar's Envoy only; use mode sidecar" $.model $key) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .config "upstream" -}}
{{- fail "config.upstream: is rendered for the sidecar's Envoy only; use mode sidecar" -}}
{{- end -}}
{{- if hasPrefix "header:" (dig "semantic_cache" "scope" "credential" .config) -}}
{{- fail "config.semantic_cache.scope: a header that a filter sets is rendered for the sidecar's Envoy only; use mode sidecar" -}}
{{- end -}}
endpoints:
{{- range $name := $model.preferred_endpoints }}
{{- range $endpoint := $.config.vllm_endpoints }}
{{- if eq $endpoint.name $name }}
- {{ toJson $endpoint }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* "true" or "": whether requests pass when the router is away. */}}
{{- define "router.failOpen" -}}
{{- $c := .Values.config -}}
{{- $guarded := or (dig "prompt_guard" "enabled" false $c) (dig "classifier" "pii_model" "enabled" false $c) -}}
{{- range $model := $c.model_config }}{{- if hasKey $model "pii_policy" }}{{- $guarded = true }}{{- end }}{{- end }}
{{- range $each := concat (default (list) $c.categories) (default (list) $c.decisions) }}
{{- if or $each.jailbreak_enabled $each.pii_enabled (hasKey $each "pii_types_allowed") }}{{- $guarded = true }}{{- end }}
{{- end }}
{{- if kindIs "bool" .Values.failOpen }}{{ if .Values.failOpen }}true{{ end }}{{ else if not $guarded }}true{{ end -}}
{{- end -}}
