"""Short descriptions of kinds and fields in our own words, for `kubectl explain`. Those of served kinds are on their sheets.

Out:   `describe_kind(name)` and `describe_field(kind, field)`, "" where nothing is written here.
Never: upstream's prose. A field without words still shows its type; https://kubernetes.io/docs/reference/ has the rest.
"""

from wherry.orchestration.apiserver.sheets import SHEETS

KINDS = {
    "PodSpec": "What a pod should run, and how.",
    "PodStatus": "What was last seen of a pod.",
    "PodTemplateSpec": "The pod that a controller makes copies of.",
    "Container": "One container of a pod.",
    "ContainerPort": "A port a container listens on.",
    "EnvVar": "An environment variable.",
    "Probe": "A regular check of a container.",
    "ResourceRequirements": "What a container is promised (requests) and may use at most (limits).",
    "Volume": "A directory that containers of a pod can mount.",
    "VolumeMount": "Where a container sees a volume.",
    "ServiceSpec": "Which pods a Service stands for, and how it is reached.",
    "ServicePort": "A port of a Service and where it leads.",
    "DeploymentSpec": "What a Deployment should keep running.",
    "DeploymentStrategy": "How old pods are replaced by new ones.",
    "ObjectMeta": "What every object has: name, namespace, labels, annotations, owners.",
    "ListMeta": "Revision and paging of a list.",
    "LabelSelector": "Chooses objects by their labels; all parts must hold.",
    "DeleteOptions": "How to delete.",
    "Status": "The outcome of a request that has no object to return.",
    "OwnerReference": "The object this one belongs to and is deleted with.",
    "SecurityContext": "Users, capabilities and other limits of a container.",
    "PodSecurityContext": "Users and other limits for all containers of a pod.",
    "Affinity": "Which nodes a pod prefers or needs, by their labels and by the pods on them.",
    "Toleration": "Lets a pod onto nodes with a matching taint.",
    "HTTPGetAction": "An HTTP request as a check.",
    "Scale": "The number of replicas, as a small object of its own.",
}

FIELDS = {
    "apiVersion": "Group and version this object is written in.",
    "kind": "What this object is, in CamelCase.",
    "metadata": "Name, namespace, labels and the like.",
    "spec": "What is wanted.",
    "status": "What was last seen; set by the system.",
    "items": "The objects of the list.",
    "name": "The name.",
    "namespace": "The namespace.",
    "labels": "Keys and values to find and group objects by.",
    "annotations": "Keys and values for tools; not used to find objects.",
    "uid": "Unique in time and space; set by the system.",
    "resourceVersion": "Changes with every write; compare only for equality.",
    "generation": "Counts the changes of what is wanted.",
    "creationTimestamp": "When it was made; set by the system.",
    "deletionTimestamp": "When it will be gone; set by the system.",
    "finalizers": "Who still has to clean up before the object goes away.",
    "ownerReferences": "Objects this one belongs to.",
    "managedFields": "Who set which field.",
    "generateName": "A prefix to make a unique name from.",
    "selector": "Which pods are meant, by their labels.",
    "template": "The object that copies are made of.",
    "replicas": "How many.",
    "conditions": "What holds and what does not, each with a reason.",
    "observedGeneration": "The generation that the status speaks of.",
    "phase": "Where it is in its life, in one word.",
    "message": "An explanation for people.",
    "reason": "An explanation in one CamelCase word.",
    "type": "Which kind of it.",
    "ports": "The ports.",
    "port": "The port.",
    "targetPort": "Number or name of the port on the pods.",
    "nodePort": "The port on every node.",
    "protocol": "TCP, UDP or SCTP.",
    "containers": "The containers of the pod; at least one.",
    "initContainers": "Containers that run one after the other before the others start.",
    "ephemeralContainers": "Containers added to a running pod to look into it.",
    "image": "Name of the container image.",
    "imagePullPolicy": "Always, Never or IfNotPresent.",
    "imagePullSecrets": "Secrets for pulling images.",
    "command": "What to run instead of the image's entrypoint; no shell is involved.",
    "args": "Arguments, instead of the image's.",
    "workingDir": "Where the process starts, instead of the image's directory.",
    "env": "Environment variables.",
    "envFrom": "ConfigMaps and Secrets whose keys become environment variables.",
    "value": "The value.",
    "valueFrom": "Where the value comes from.",
    "resources": "What is promised and what is the most.",
    "limits": "The most that may be used.",
    "requests": "What is promised.",
    "volumes": "Volumes that containers can mount.",
    "volumeMounts": "Which volumes are mounted, and where.",
    "mountPath": "The path inside the container.",
    "livenessProbe": "A container that fails it is restarted.",
    "readinessProbe": "A container that fails it gets no traffic from Services.",
    "startupProbe": "The other probes wait until it has succeeded.",
    "lifecycle": "What to do after a container started and before it stops.",
    "securityContext": "Users, capabilities and other limits.",
    "restartPolicy": "Always, OnFailure or Never.",
    "terminationGracePeriodSeconds": "Seconds between asking to stop and being killed.",
    "activeDeadlineSeconds": "Seconds after which it is stopped for good.",
    "dnsPolicy": "How names are looked up.",
    "nodeSelector": "Labels the node must have.",
    "nodeName": "The node it runs on.",
    "serviceAccountName": "The identity of the pod.",
    "hostNetwork": "Use the network of the node.",
    "affinity": "Which nodes and neighbours are preferred or needed.",
    "tolerations": "Taints of nodes that do not keep it away.",
    "topologySpreadConstraints": "How pods spread over zones, nodes and the like.",
    "priorityClassName": "How important it is.",
    "schedulerName": "Who chooses the node.",
    "strategy": "How old pods are replaced.",
    "updateStrategy": "How old pods are replaced.",
    "rollingUpdate": "The limits of a step-by-step replacement.",
    "maxSurge": "How many more than wanted may exist; a number or a percentage.",
    "maxUnavailable": "How many may be missing; a number or a percentage.",
    "minReadySeconds": "Seconds a pod must be ready before it counts as available.",
    "revisionHistoryLimit": "How many old states are kept.",
    "progressDeadlineSeconds": "Seconds without progress after which it counts as failed.",
    "paused": "Changes wait while this is true.",
    "clusterIP": "The address inside the cluster; None for no address of its own.",
    "externalName": "A DNS name that the Service stands for.",
    "sessionAffinity": "ClientIP keeps a client at one pod; None does not.",
    "data": "The keys and values.",
    "binaryData": "Keys and base64 values.",
    "stringData": "Keys and values as plain text; written only, merged into data.",
    "immutable": "True: the data can never change again.",
    "rules": "The rules.",
    "verbs": "What may be done.",
    "apiGroups": "Groups of the API; an empty text is the core group.",
    "subjects": "Who gets the role.",
    "roleRef": "The role that is given.",
    "schedule": "When, as a cron expression.",
    "completions": "How many pods must succeed.",
    "parallelism": "How many pods may run at once.",
    "backoffLimit": "How many failures are allowed.",
    "storageClassName": "The class of storage.",
    "accessModes": "How many nodes may mount it, and how.",
    "capacity": "How much there is.",
    "provisioner": "Who makes the volumes.",
    "reclaimPolicy": "What happens to a volume that is given back.",
    "host": "The host name.",
    "path": "The path.",
    "matchLabels": "Labels that must have these values.",
    "matchExpressions": "Conditions on labels.",
}


_SHEETS = {sheet.resource.kind: sheet.description for sheet in reversed(SHEETS)}


def describe_kind(name: str) -> str:
    """The description of a definition by its short name."""
    found = _SHEETS.get(name) or KINDS.get(name)
    if found:
        return found
    if name.endswith("List") and name[:-4]:
        return f"A list of {name[:-4]} objects."
    return ""


def describe_field(kind: str, field: str) -> str:
    """The description of a field; the kind of the field has its own."""
    if kind.endswith("List") and field == "metadata":
        return "Revision and paging of the list."
    return FIELDS.get(field, "")
