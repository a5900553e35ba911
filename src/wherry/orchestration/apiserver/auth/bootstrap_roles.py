"""The default roles and bindings as tables; see `bootstrap.py`, and `rule_text.py` for the notation."""

from wherry.orchestration.apiserver.auth.rule_text import EVENTS

AGGREGATION_LABEL = "rbac.authorization.k8s.io/aggregate-to-"
# name -> (label it collects, labels it carries)
AGGREGATED: dict[str, tuple[str, tuple[str, ...]]] = {
    "admin": ("admin", ()),
    "edit": ("edit", ("admin",)),
    "view": ("view", ("edit",)),
}
_REVIEWS = """
create | authentication.k8s.io | tokenreviews
create | authorization.k8s.io | subjectaccessreviews
"""
_SIGNER = "approve | certificates.k8s.io | signers | kubernetes.io/"
_CSR = "system:certificates.k8s.io:"

CLUSTER_ROLES: dict[str, str] = {
    "cluster-admin": "* | * | *\n* | *",
    "system:discovery": "get | /livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*",
    "system:monitoring": "get | /metrics /metrics/slis /livez /readyz /healthz /livez/* /readyz/* /healthz/*",
    "system:basic-user": """
        create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews
        create | authentication.k8s.io | selfsubjectreviews""",
    "system:public-info-viewer": "get | /livez /readyz /healthz /version /version/",
    "system:service-account-issuer-discovery": "get | /.well-known/openid-configuration /openid/v1/jwks",
    "system:auth-delegator": _REVIEWS,
    "system:aggregate-to-admin": """
        create | authorization.k8s.io | localsubjectaccessreviews
        read write | rbac.authorization.k8s.io | roles rolebindings""",
    "system:aggregate-to-edit": """
        read | core | pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy
        impersonate | core | serviceaccounts
        write | core | pods pods/attach pods/proxy pods/exec pods/portforward
        create | core | pods/eviction
        write | core | replicationcontrollers+scale serviceaccounts services+proxy
        write | core | persistentvolumeclaims configmaps secrets events
        create | core | serviceaccounts/token
        write | apps | statefulsets+scale daemonsets deployments+scale+rollback replicasets+scale
        write | autoscaling | horizontalpodautoscalers
        write | batch | jobs cronjobs
        write | policy | poddisruptionbudgets
        write | networking.k8s.io | networkpolicies ingresses
        read write | coordination.k8s.io | leases
        write | resource.k8s.io | resourceclaims resourceclaimtemplates""",
    "system:aggregate-to-view": """
        read | core | pods replicationcontrollers+scale serviceaccounts services+status endpoints
        read | core | persistentvolumeclaims+status configmaps
        read | core | limitranges resourcequotas+status bindings events
        read | core | pods/status namespaces/status replicationcontrollers/status pods/log
        read | core | namespaces
        read | discovery.k8s.io | endpointslices
        read | apps | controllerrevisions statefulsets+status+scale daemonsets+status
        read | apps | deployments+status+scale replicasets+status+scale
        read | autoscaling | horizontalpodautoscalers+status
        read | batch | jobs+status cronjobs+status
        read | policy | poddisruptionbudgets+status
        read | networking.k8s.io | networkpolicies ingresses+status
        read | resource.k8s.io | resourceclaims+status resourceclaimtemplates""",
    "system:heapster": "read | core | events pods nodes namespaces\nread | extensions | deployments",
    "system:node": f"""
        create | authentication.k8s.io | tokenreviews
        create | authorization.k8s.io | subjectaccessreviews localsubjectaccessreviews
        read | core | services
        create get list watch | core | nodes
        update patch | core | nodes/status
        update patch | core | nodes
        {EVENTS}
        read | core | pods
        create delete | core | pods
        update patch | core | pods/status
        create | core | pods/eviction
        read | core | secrets configmaps
        get | core | persistentvolumeclaims persistentvolumes
        get | core | endpoints
        read create | certificates.k8s.io | certificatesigningrequests
        get create update patch delete | coordination.k8s.io | leases
        get | storage.k8s.io | volumeattachments
        get update patch | core | persistentvolumeclaims/status
        create | core | serviceaccounts/token
        get | core | serviceaccounts
        read | storage.k8s.io | csidrivers
        get create update patch delete | storage.k8s.io | csinodes
        read | node.k8s.io | runtimeclasses
        get | resource.k8s.io | resourceclaims
        read create update patch delete deletecollection | resource.k8s.io | resourceslices
        read | certificates.k8s.io | clustertrustbundles
        read create | certificates.k8s.io | podcertificaterequests""",
    "system:node-problem-detector": f"get | core | nodes\npatch | core | nodes/status\n{EVENTS}",
    "system:kubelet-api-admin": """
        read | core | nodes
        proxy | core | nodes
        * | core | nodes/proxy nodes/metrics nodes/stats nodes/log nodes/spec nodes/configz nodes/healthz nodes/pods""",
    "system:node-bootstrapper": "read create | certificates.k8s.io | certificatesigningrequests",
    "system:node-proxier": f"""
        list watch | core | services endpoints
        read | core | nodes
        list watch | discovery.k8s.io | endpointslices
        list watch | networking.k8s.io | servicecidrs
        {EVENTS}""",
    "system:kube-aggregator": "read | core | services endpoints",
    "system:kube-dns": "list watch | core | endpoints services\nlist watch | discovery.k8s.io | endpointslices",
    "system:kube-controller-manager": f"""
        {EVENTS}
        create | coordination.k8s.io | leases
        get update patch | coordination.k8s.io | leases | kube-controller-manager
        create | core | secrets serviceaccounts
        delete | core | secrets
        get | core | namespaces secrets serviceaccounts configmaps
        update patch | core | secrets serviceaccounts
        {_REVIEWS.strip()}
        list watch | * | *
        create | core | serviceaccounts/token""",
    "system:kube-scheduler": f"""
        {EVENTS}
        create | coordination.k8s.io | leases
        get update patch | coordination.k8s.io | leases | kube-scheduler
        read | coordination.k8s.io | leasecandidates
        read | core | nodes namespaces
        read delete | core | pods
        create | core | pods/binding bindings
        update patch | core | pods/status
        read | core | services replicationcontrollers
        read | apps | replicasets statefulsets
        read | policy | poddisruptionbudgets
        read | core | persistentvolumeclaims persistentvolumes
        {_REVIEWS.strip()}
        read | storage.k8s.io | csinodes csidrivers csistoragecapacities volumeattachments
        read | resource.k8s.io | deviceclasses resourceslices
        read update patch | resource.k8s.io | resourceclaims
        update patch | resource.k8s.io | resourceclaims/status
        read | scheduling.k8s.io | priorityclasses""",
    "system:volume-scheduler": """
        read update patch | core | persistentvolumes
        read | storage.k8s.io | storageclasses
        read update patch | core | persistentvolumeclaims""",
    "system:persistent-volume-provisioner": f"""
        read create delete | core | persistentvolumes
        read update | core | persistentvolumeclaims
        read | storage.k8s.io | storageclasses
        watch | core | events
        {EVENTS}""",
    f"{_CSR}certificatesigningrequests:nodeclient":
        "create | certificates.k8s.io | certificatesigningrequests/nodeclient",
    f"{_CSR}certificatesigningrequests:selfnodeclient":
        "create | certificates.k8s.io | certificatesigningrequests/selfnodeclient",
    f"{_CSR}legacy-unknown-approver": f"{_SIGNER}legacy-unknown",
    f"{_CSR}kubelet-serving-approver": f"{_SIGNER}kubelet-serving",
    f"{_CSR}kube-apiserver-client-approver": f"{_SIGNER}kube-apiserver-client",
    f"{_CSR}kube-apiserver-client-kubelet-approver": f"{_SIGNER}kube-apiserver-client-kubelet",
    "system:clustertrustbundle-discovery": "read | certificates.k8s.io | clustertrustbundles",
    "kubeadm:get-nodes": "get | core | nodes",
    "system:wherry:gateway": f"""
        read | core | services endpoints secrets configmaps namespaces nodes pods
        read | discovery.k8s.io | endpointslices
        read | networking.k8s.io | ingresses ingressclasses
        update patch | networking.k8s.io | ingresses/status
        update patch | core | services/status
        create update patch delete | core | secrets configmaps
        read write | coordination.k8s.io | leases
        read create update patch | apiextensions.k8s.io | customresourcedefinitions
        read create update patch | core | namespaces serviceaccounts services
        read create update patch | apps | daemonsets
        create update patch | networking.k8s.io | ingressclasses
        create | gateway.networking.k8s.io | gatewayclasses
        read update patch | gateway.networking.k8s.io configuration.konghq.com traefik.io getambassador.io | *
        read update patch | apisix.apache.org gateway.wherry.dev acme.wherry.dev | *
        {_REVIEWS.strip()}
        {EVENTS}""",
}

# name, role, subjects
CLUSTER_BINDINGS: tuple[tuple[str, str, str], ...] = (
    ("cluster-admin", "cluster-admin", "g:system:masters"),
    ("system:monitoring", "system:monitoring", "g:system:monitoring"),
    ("system:discovery", "system:discovery", "g:system:authenticated"),
    ("system:basic-user", "system:basic-user", "g:system:authenticated"),
    ("system:public-info-viewer", "system:public-info-viewer", "g:system:authenticated g:system:unauthenticated"),
    ("system:node-proxier", "system:node-proxier", "u:system:kube-proxy g:system:nodes"),
    ("system:kube-controller-manager", "system:kube-controller-manager", "u:system:kube-controller-manager"),
    ("system:kube-dns", "system:kube-dns", "s:kube-system/kube-dns g:system:nodes"),
    ("system:kube-scheduler", "system:kube-scheduler", "u:system:kube-scheduler"),
    ("system:volume-scheduler", "system:volume-scheduler", "u:system:kube-scheduler"),
    ("system:node", "system:node", ""),  # the node authorizer does its work
    ("system:service-account-issuer-discovery", "system:service-account-issuer-discovery", "g:system:serviceaccounts"),
    ("system:clustertrustbundle-discovery", "system:clustertrustbundle-discovery", "g:system:serviceaccounts"),
    ("kubeadm:cluster-admins", "cluster-admin", "g:kubeadm:cluster-admins"),
    ("kubeadm:get-nodes", "kubeadm:get-nodes", "g:system:bootstrappers"),
    ("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", "g:system:bootstrappers"),
    ("kubeadm:node-autoapprove-bootstrap", f"{_CSR}certificatesigningrequests:nodeclient", "g:system:bootstrappers"),
    ("kubeadm:node-autoapprove-certificate-rotation", f"{_CSR}certificatesigningrequests:selfnodeclient",
     "g:system:nodes"),
    ("system:wherry:gateway", "system:wherry:gateway", "u:system:wherry:gateway"),
    # Our certificate approver also approves what a node serves with, when it is for the node's own names and addresses.
    ("system:wherry:kubelet-serving-approver", f"{_CSR}kubelet-serving-approver", "u:system:kube-controller-manager"),
)

_LOCK = "watch | core | configmaps\nget update | core | configmaps | "
_SIGNER_ROLE = "system:controller:bootstrap-signer"
# (namespace, name) -> rules
NAMESPACED_ROLES: dict[tuple[str, str], str] = {
    ("kube-system", "extension-apiserver-authentication-reader"):
        "read | core | configmaps | extension-apiserver-authentication",
    ("kube-system", _SIGNER_ROLE): "read | core | secrets",
    ("kube-system", "system:controller:token-cleaner"): f"read delete | core | secrets\n{EVENTS}",
    ("kube-system", "system:controller:cloud-provider"): "create read | core | configmaps",
    ("kube-system", "system::leader-locking-kube-controller-manager"): f"{_LOCK}kube-controller-manager",
    ("kube-system", "system::leader-locking-kube-scheduler"): f"{_LOCK}kube-scheduler",
    ("kube-system", "system:wherry:cluster-reader"): "get | core | configmaps | wherry-cluster",
    ("kube-public", _SIGNER_ROLE): f"read | core | configmaps\nupdate | core | configmaps | cluster-info\n{EVENTS}",
    ("kube-public", "kubeadm:bootstrap-signer-clusterinfo"): "get | core | configmaps | cluster-info",
}
# namespace, name, role, subjects
NAMESPACED_BINDINGS: tuple[tuple[str, str, str, str], ...] = (
    ("kube-system", "system:extension-apiserver-authentication-reader", "extension-apiserver-authentication-reader",
     "u:system:kube-controller-manager u:system:kube-scheduler"),
    ("kube-system", "system::extension-apiserver-authentication-reader", "extension-apiserver-authentication-reader",
     "u:system:kube-controller-manager u:system:kube-scheduler"),
    ("kube-system", "system::leader-locking-kube-controller-manager", "system::leader-locking-kube-controller-manager",
     "u:system:kube-controller-manager s:kube-system/kube-controller-manager"),
    ("kube-system", "system::leader-locking-kube-scheduler", "system::leader-locking-kube-scheduler",
     "u:system:kube-scheduler s:kube-system/kube-scheduler"),
    ("kube-system", _SIGNER_ROLE, _SIGNER_ROLE, "s:kube-system/bootstrap-signer"),
    ("kube-system", "system:controller:cloud-provider", "system:controller:cloud-provider",
     "s:kube-system/cloud-provider"),
    ("kube-system", "system:controller:token-cleaner", "system:controller:token-cleaner",
     "s:kube-system/token-cleaner u:system:kube-controller-manager"),
    ("kube-system", "system:wherry:cluster-reader", "system:wherry:cluster-reader", "g:system:bootstrappers g:system:nodes"),
    ("kube-public", _SIGNER_ROLE, _SIGNER_ROLE, "s:kube-system/bootstrap-signer u:system:kube-controller-manager"),
    ("kube-public", "kubeadm:bootstrap-signer-clusterinfo", "kubeadm:bootstrap-signer-clusterinfo",
     "g:system:unauthenticated g:system:bootstrappers"),
)
