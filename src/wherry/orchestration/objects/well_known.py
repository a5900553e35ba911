"""Names that Kubernetes gives a meaning: labels, annotations, taints, finalizers. Constants have upstream's names.

Spec:  https://kubernetes.io/docs/reference/labels-annotations-taints/
"""

LABEL_SERVICE_NAME = "kubernetes.io/service-name"
