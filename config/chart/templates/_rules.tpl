{{- define "smooth-operator.rules" }}
  # What people want. The spec belongs to them: no write.
  - apiGroups: [mcp.mcp.dev]
    resources: [mcpservers]
    verbs: [list, watch]
  # What the operator reports back.
  - apiGroups: [mcp.mcp.dev]
    resources: [mcpservers/status]
    verbs: [patch]
  # For owner references with blockOwnerDeletion. Required only with the admission plugin
  # OwnerReferencesPermissionEnforcement, as on OpenShift. (With it, adopting a Deployment or Service that has lost
  # its owner also requires `delete`, which is not granted for these two.)
  - apiGroups: [mcp.mcp.dev]
    resources: [mcpservers/finalizers]
    verbs: [update]
  # The children of a server.
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [list, watch, create, patch]
  - apiGroups: [""]
    resources: [services]
    verbs: [list, watch, create, patch]
  # The children that a spec may call for, and may stop to call for.
  - apiGroups: [policy]
    resources: [poddisruptionbudgets]
    verbs: [list, watch, create, patch, delete]
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies]
    verbs: [list, watch, create, patch, delete]
  - apiGroups: [autoscaling]
    resources: [horizontalpodautoscalers]
    verbs: [list, watch, create, patch, delete]
  # To see why a pod is not ready, and where a ready one can be asked whether it speaks MCP. Only pods with the label
  # app.kubernetes.io/managed-by=smooth-operator are requested.
  - apiGroups: [""]
    resources: [pods]
    verbs: [list, watch]
  # To see whether a Secret exists and whether its data has changed. The values are hashed while they are decoded, and not
  # kept.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [list, watch]
  # Events, for `kubectl describe`. A repeated Event is patched into a series.
  - apiGroups: [events.k8s.io]
    resources: [events]
    verbs: [create, patch]
{{- end }}
