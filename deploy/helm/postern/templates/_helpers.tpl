{{- define "postern.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) }}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "postern.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "postern.labels" -}}
{{ include "postern.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "postern.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* postern.yaml as a map, with the times of the shutdown, which the pod must know, too. */}}
{{- define "postern.config" -}}
{{- $shutdown := dict "delay" (printf "%ds" (int .Values.shutdown.delaySeconds)) "deadline" (printf "%ds" (int .Values.shutdown.deadlineSeconds)) }}
{{- toYaml (merge (dict "shutdown" $shutdown) .Values.config) }}
{{- end }}

{{/* postern.yaml and the files beside it. */}}
{{- define "postern.data" -}}
postern.yaml: |
  {{- include "postern.config" . | nindent 2 }}
{{- range $name, $text := .Values.files }}
{{ $name }}: {{ $text | quote }}
{{- end }}
{{- end }}

{{/* A name by the content: a generation of pods never sees the configuration of another. */}}
{{- define "postern.configMap" -}}
{{ include "postern.name" . }}-{{ include "postern.data" . | sha256sum | trunc 10 }}
{{- end }}

{{/* The port of an address such as 0.0.0.0:8080 or a map with `address`. */}}
{{- define "postern.port" -}}
{{- $address := . }}{{ if kindIs "map" . }}{{ $address = .address }}{{ end }}
{{- regexFind "[0-9]+$" $address }}
{{- end }}

{{/* Each value that is missing, with what to do. */}}
{{- define "postern.validate" -}}
{{- $config := .Values.config }}
{{- if not .Values.existingSecret }}
{{- fail "existingSecret is empty: make the server keys (postern keys create keys), put them into a Secret (kubectl create secret generic postern --from-file=keys), and set existingSecret=postern" }}
{{- end }}
{{- if not $config.public_url }}
{{- fail "config.public_url is missing: set it to what users type, such as https://webmail.example.org" }}
{{- end }}
{{- if $config.shutdown }}
{{- fail "config.shutdown belongs under shutdown: set shutdown.delaySeconds and shutdown.deadlineSeconds, which the pod must know, too" }}
{{- end }}
{{- if not (hasKey ($config.directory | default dict) "sources") }}
{{- fail "config.directory.sources is missing: say where users live, such as [{type: map, file: users.map}] with files.users\\.map, or [{type: static, backend: a}] for one backend" }}
{{- end }}
{{- if not $config.backends }}
{{- fail "config.backends is missing: name the mail servers, such as config.backends.a={imap: imaps://mx1.internal, webmail: http://mx1.internal/}" }}
{{- end }}
{{- if not $config.sessions.redis }}
{{- fail "config.sessions.redis is missing: all pods share their sessions there, and a pod's own store would end with it; set it to a URL such as redis://redis.mail.svc:6379/0" }}
{{- end }}
{{- if gt (len (include "postern.data" .)) 1048576 }}
{{- fail "config and files together are larger than 1 MiB, which is all that a ConfigMap holds: ask a server instead of a large map (config.directory.sources: ldap, sql, redis or http)" }}
{{- end }}
{{- if not (or .Values.audit.existingClaim .Values.audit.ephemeral $config.audit.syslog) }}
{{- fail "the audit would be lost with its pod: set audit.existingClaim to a PersistentVolumeClaim (ReadWriteMany), or config.audit.syslog.url to a server that keeps it, or accept the loss by audit.ephemeral=true" }}
{{- end }}
{{- end }}
