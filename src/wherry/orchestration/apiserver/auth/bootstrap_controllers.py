"""One role a controller, in the notation of `rule_text.py`; upstream's names, so that its bindings and docs apply.

Where upstream's controller updates, ours may patch instead: both verbs are granted.
"""

from wherry.orchestration.apiserver.auth.rule_text import EVENTS

_PODS = "create read update patch delete | core | pods\nupdate patch | core | pods/status"

CONTROLLER_ROLES: dict[str, str] = {
    "attachdetach-controller": f"""
        list watch | core | persistentvolumes persistentvolumeclaims pods
        read | core | nodes
        update patch | core | nodes/status
        read create delete update patch | storage.k8s.io | volumeattachments+status
        read | storage.k8s.io | csidrivers csinodes
        {EVENTS}""",
    "clusterrole-aggregation-controller":
        "escalate read update patch | rbac.authorization.k8s.io | clusterroles",
    "cronjob-controller": f"""
        read update patch | batch | cronjobs+status+finalizers
        read create update delete patch | batch | jobs
        list delete | core | pods
        {EVENTS}""",
    "daemon-set-controller": f"""
        read | apps | daemonsets
        update patch | apps | daemonsets/status daemonsets/finalizers
        read | core | nodes
        {_PODS}
        create | core | pods/binding
        read create delete update patch | apps | controllerrevisions
        {EVENTS}""",
    "deployment-controller": f"""
        read update patch | apps | deployments+status+finalizers
        read create update patch delete | apps | replicasets
        read update patch | core | pods
        {EVENTS}""",
    "device-taint-eviction-controller": f"""
        read delete | core | pods
        update patch | core | pods/status
        read | resource.k8s.io | resourceclaims resourceslices
        {EVENTS}""",
    "disruption-controller": f"""
        read | apps | deployments replicasets statefulsets
        read | core | replicationcontrollers pods
        read | policy | poddisruptionbudgets
        update patch | policy | poddisruptionbudgets/status
        update patch | core | pods/status
        get | * | */scale
        {EVENTS}""",
    "endpoint-controller": f"""
        read | core | services pods
        read create update patch delete | core | endpoints
        create | core | endpoints/restricted
        {EVENTS}""",
    "endpointslice-controller": f"""
        read | core | services pods nodes
        update | core | services/finalizers
        read create update patch delete | discovery.k8s.io | endpointslices
        create | discovery.k8s.io | endpointslices/restricted
        {EVENTS}""",
    "endpointslicemirroring-controller": f"""
        read | core | services endpoints
        update | core | services/finalizers endpoints/finalizers
        read create update patch delete | discovery.k8s.io | endpointslices
        create | discovery.k8s.io | endpointslices/restricted
        {EVENTS}""",
    "ephemeral-volume-controller": f"""
        read | core | pods
        update | core | pods/finalizers
        read create | core | persistentvolumeclaims
        {EVENTS}""",
    "expand-controller": f"""
        read update patch | core | persistentvolumes
        update patch | core | persistentvolumeclaims/status
        read | core | persistentvolumeclaims
        read | storage.k8s.io | storageclasses
        get | core | secrets
        {EVENTS}""",
    "generic-garbage-collector": f"get list watch patch update delete | * | *\n{EVENTS}",
    "horizontal-pod-autoscaler": f"""
        read | autoscaling | horizontalpodautoscalers
        update patch | autoscaling | horizontalpodautoscalers/status
        get update patch | * | */scale
        list watch | core | pods
        get list | metrics.k8s.io | pods
        get list | custom.metrics.k8s.io external.metrics.k8s.io | *
        {EVENTS}""",
    "job-controller": f"""
        read update patch | batch | jobs+status+finalizers
        {_PODS}
        {EVENTS}""",
    "legacy-service-account-token-cleaner": """
        get | core | configmaps | kube-apiserver-legacy-service-account-token-tracking
        patch delete | core | secrets""",
    "namespace-controller": """
        read delete update patch | core | namespaces
        update patch | core | namespaces/finalize namespaces/status
        get list delete deletecollection | * | *""",
    "node-controller": f"""
        read update delete patch | core | nodes
        update patch | core | nodes/status pods/status
        read delete | core | pods
        read | coordination.k8s.io | leases
        read create | resource.k8s.io | resourceslices
        {EVENTS}""",
    "persistent-volume-binder": f"""
        read update patch create delete | core | persistentvolumes persistentvolumeclaims
        update patch | core | persistentvolumes/status persistentvolumeclaims/status
        read create delete | core | pods
        read | storage.k8s.io | storageclasses csinodes csidrivers volumeattributesclasses
        read create update patch delete | storage.k8s.io | csistoragecapacities
        get create update patch delete | core | endpoints
        get create delete | core | services
        get | core | secrets
        read | core | nodes
        read update patch create delete | snapshot.storage.k8s.io | *
        watch | core | events
        {EVENTS}""",
    "pod-garbage-collector": f"""
        list watch delete | core | pods
        get list watch | core | nodes
        update patch | core | pods/status
        {EVENTS}""",
    "podcertificaterequestcleaner": "read delete | certificates.k8s.io | podcertificaterequests",
    "pv-protection-controller": f"read update patch | core | persistentvolumes\n{EVENTS}",
    "pvc-protection-controller": f"""
        read update patch | core | persistentvolumeclaims
        read | core | pods
        {EVENTS}""",
    "replicaset-controller": f"""
        read update patch | apps | replicasets+status+finalizers
        {_PODS}
        {EVENTS}""",
    "replication-controller": f"""
        read update patch | core | replicationcontrollers+status+finalizers
        {_PODS}
        {EVENTS}""",
    "resource-claim-controller": f"""
        read | core | pods
        update | core | pods/finalizers
        update patch | core | pods/status
        read create delete update patch | resource.k8s.io | resourceclaims+status
        read | resource.k8s.io | resourceclaimtemplates
        {EVENTS}""",
    "resourcequota-controller": f"""
        list watch | * | *
        update patch | core | resourcequotas/status
        {EVENTS}""",
    "root-ca-cert-publisher": f"create update patch | core | configmaps\n{EVENTS}",
    "route-controller": f"""
        list watch | core | nodes
        patch | core | nodes/status
        {EVENTS}""",
    "selinux-warning-controller": f"""
        read | core | persistentvolumes persistentvolumeclaims pods
        read | storage.k8s.io | csidrivers
        {EVENTS}""",
    "service-account-controller": f"create | core | serviceaccounts\n{EVENTS}",
    "service-cidrs-controller": f"""
        read update patch | networking.k8s.io | servicecidrs+finalizers+status
        read create delete | networking.k8s.io | ipaddresses
        {EVENTS}""",
    "service-controller": f"""
        read update patch | core | services+status
        read | core | nodes
        {EVENTS}""",
    "statefulset-controller": f"""
        read update patch | apps | statefulsets+status+finalizers
        {_PODS}
        read create delete update patch | apps | controllerrevisions
        read create update patch delete | core | persistentvolumeclaims
        {EVENTS}""",
    "ttl-after-finished-controller": f"read delete | batch | jobs\n{EVENTS}",
    "ttl-controller": f"read update patch | core | nodes\n{EVENTS}",
    "certificate-controller": f"""
        read delete | certificates.k8s.io | certificatesigningrequests
        update patch | certificates.k8s.io | certificatesigningrequests/status certificatesigningrequests/approval
        approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet
        sign | certificates.k8s.io | signers | kubernetes.io/legacy-unknown kubernetes.io/kubelet-serving
        sign | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet
        create | authorization.k8s.io | subjectaccessreviews
        {EVENTS}""",
    "validatingadmissionpolicy-status-controller": f"""
        read | admissionregistration.k8s.io | validatingadmissionpolicies
        get update patch | admissionregistration.k8s.io | validatingadmissionpolicies/status
        {EVENTS}""",
    "volumeattributesclass-protection-controller": f"""
        read | core | persistentvolumes persistentvolumeclaims
        read update patch | storage.k8s.io | volumeattributesclasses
        {EVENTS}""",
    "storage-version-migrator-controller": """
        list create patch | * | *
        update patch | storagemigration.k8s.io | storageversionmigrations/status""",
}
