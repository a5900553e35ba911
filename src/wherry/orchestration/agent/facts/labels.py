"""The labels of sandboxes and containers by which the agent knows them again, in this life and the next.

Spec: the names kubelet gives them, where it has one; log collectors and cAdvisor's readers look for these.
"""

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
GRACE = "io.kubernetes.pod.terminationGracePeriod"
ATTEMPT = "wherry.dev/attempt"
TERMINATION_PATH = "io.kubernetes.container.terminationMessagePath"
IMAGE_REF = "wherry.dev/image-ref"
SPEC_HASH = "io.kubernetes.container.hash"
