"""The built-in kinds as TypedDicts, for mypy only: import under TYPE_CHECKING.

Written by tools/generate_schema.py from the Kubernetes v1.37.0 schema; do not edit.
"""

from __future__ import annotations

from typing import Any, TypedDict


class APIGroup(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str
    preferredVersion: GroupVersionForDiscovery
    serverAddressByClientCIDRs: list[ServerAddressByClientCIDR]
    versions: list[GroupVersionForDiscovery]


class APIGroupList(TypedDict, total=False):
    apiVersion: str
    groups: list[APIGroup]
    kind: str


class APIResource(TypedDict, total=False):
    categories: list[str]
    group: str
    kind: str
    name: str
    namespaced: bool
    shortNames: list[str]
    singularName: str
    storageVersionHash: str
    verbs: list[str]
    version: str


class APIResourceList(TypedDict, total=False):
    apiVersion: str
    groupVersion: str
    kind: str
    resources: list[APIResource]


class APIService(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: APIServiceSpec
    status: APIServiceStatus


class APIServiceCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class APIServiceList(TypedDict, total=False):
    apiVersion: str
    items: list[APIService]
    kind: str
    metadata: ListMeta


class APIServiceSpec(TypedDict, total=False):
    caBundle: str
    group: str
    groupPriorityMinimum: int
    insecureSkipTLSVerify: bool
    service: ApiregistrationV1ServiceReference
    version: str
    versionPriority: int


class APIServiceStatus(TypedDict, total=False):
    conditions: list[APIServiceCondition]


class APIVersions(TypedDict, total=False):
    apiVersion: str
    kind: str
    serverAddressByClientCIDRs: list[ServerAddressByClientCIDR]
    versions: list[str]


class AWSElasticBlockStoreVolumeSource(TypedDict, total=False):
    fsType: str
    partition: int
    readOnly: bool
    volumeID: str


class Affinity(TypedDict, total=False):
    nodeAffinity: NodeAffinity
    podAffinity: PodAffinity
    podAntiAffinity: PodAntiAffinity


class AggregationRule(TypedDict, total=False):
    clusterRoleSelectors: list[LabelSelector]


class AllocatedDeviceStatus(TypedDict, total=False):
    conditions: list[Condition] | None
    data: Any
    device: str
    driver: str
    networkData: NetworkDeviceData
    pool: str
    shareID: str


class AllocationResult(TypedDict, total=False):
    allocationTimestamp: str
    devices: DeviceAllocationResult
    nodeSelector: NodeSelector


class ApiextensionsV1ServiceReference(TypedDict, total=False):
    name: str
    namespace: str
    path: str
    port: int


class ApiextensionsV1WebhookClientConfig(TypedDict, total=False):
    caBundle: str
    service: ApiextensionsV1ServiceReference
    url: str


class ApiregistrationV1ServiceReference(TypedDict, total=False):
    name: str
    namespace: str
    port: int


class AppArmorProfile(TypedDict, total=False):
    localhostProfile: str
    type: str


class ApplyConfiguration(TypedDict, total=False):
    expression: str


class AttachedVolume(TypedDict, total=False):
    devicePath: str
    name: str


class AuditAnnotation(TypedDict, total=False):
    key: str
    valueExpression: str


class AutoscalingV1CrossVersionObjectReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str


class AutoscalingV1HorizontalPodAutoscaler(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: AutoscalingV1HorizontalPodAutoscalerSpec
    status: AutoscalingV1HorizontalPodAutoscalerStatus


class AutoscalingV1HorizontalPodAutoscalerList(TypedDict, total=False):
    apiVersion: str
    items: list[AutoscalingV1HorizontalPodAutoscaler]
    kind: str
    metadata: ListMeta


class AutoscalingV1HorizontalPodAutoscalerSpec(TypedDict, total=False):
    maxReplicas: int
    minReplicas: int
    scaleTargetRef: AutoscalingV1CrossVersionObjectReference
    targetCPUUtilizationPercentage: int


class AutoscalingV1HorizontalPodAutoscalerStatus(TypedDict, total=False):
    currentCPUUtilizationPercentage: int
    currentReplicas: int
    desiredReplicas: int
    lastScaleTime: str
    observedGeneration: int


class AzureDiskVolumeSource(TypedDict, total=False):
    cachingMode: str
    diskName: str
    diskURI: str
    fsType: str
    kind: str
    readOnly: bool


class AzureFilePersistentVolumeSource(TypedDict, total=False):
    readOnly: bool
    secretName: str
    secretNamespace: str | None
    shareName: str


class AzureFileVolumeSource(TypedDict, total=False):
    readOnly: bool
    secretName: str
    shareName: str


class Binding(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    target: ObjectReference


class BoundObjectReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str
    uid: str


class CELDeviceSelector(TypedDict, total=False):
    expression: str


class CSIDriver(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: CSIDriverSpec


class CSIDriverList(TypedDict, total=False):
    apiVersion: str
    items: list[CSIDriver]
    kind: str
    metadata: ListMeta


class CSIDriverSpec(TypedDict, total=False):
    attachRequired: bool
    fsGroupPolicy: str
    nodeAllocatableUpdatePeriodSeconds: int
    podInfoOnMount: bool
    preventPodSchedulingIfMissing: bool
    requiresRepublish: bool
    seLinuxMount: bool
    serviceAccountTokenInSecrets: bool
    storageCapacity: bool
    tokenRequests: list[StorageV1TokenRequest]
    volumeLifecycleModes: list[str]


class CSINode(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: CSINodeSpec
    status: CSINodeStatus


class CSINodeDriver(TypedDict, total=False):
    allocatable: VolumeNodeResources
    name: str
    nodeID: str
    topologyKeys: list[str] | None


class CSINodeList(TypedDict, total=False):
    apiVersion: str
    items: list[CSINode]
    kind: str
    metadata: ListMeta


class CSINodeSpec(TypedDict, total=False):
    drivers: list[CSINodeDriver] | None


class CSINodeStatus(TypedDict, total=False):
    storageHealth: list[StorageHealth]


class CSIPersistentVolumeSource(TypedDict, total=False):
    controllerExpandSecretRef: SecretReference
    controllerPublishSecretRef: SecretReference
    driver: str
    fsType: str
    nodeExpandSecretRef: SecretReference
    nodePublishSecretRef: SecretReference
    nodeStageSecretRef: SecretReference
    readOnly: bool
    volumeAttributes: dict[str, str]
    volumeHandle: str


class CSIStorageCapacity(TypedDict, total=False):
    apiVersion: str
    capacity: str | int | float
    kind: str
    maximumVolumeSize: str | int | float
    metadata: ObjectMeta
    nodeTopology: LabelSelector
    storageClassName: str


class CSIStorageCapacityList(TypedDict, total=False):
    apiVersion: str
    items: list[CSIStorageCapacity]
    kind: str
    metadata: ListMeta


class CSIVolumeSource(TypedDict, total=False):
    driver: str
    fsType: str
    nodePublishSecretRef: LocalObjectReference
    readOnly: bool
    volumeAttributes: dict[str, str]


class Capabilities(TypedDict, total=False):
    add: list[str]
    drop: list[str]


class CapacityRequestPolicy(TypedDict, total=False):
    default: str | int | float | None
    validRange: CapacityRequestPolicyRange
    validValues: list[str | int | float]


class CapacityRequestPolicyRange(TypedDict, total=False):
    max: str | int | float
    min: str | int | float
    step: str | int | float


class CapacityRequirements(TypedDict, total=False):
    requests: dict[str, str | int | float]


class CephFSPersistentVolumeSource(TypedDict, total=False):
    monitors: list[str] | None
    path: str
    readOnly: bool
    secretFile: str
    secretRef: SecretReference
    user: str


class CephFSVolumeSource(TypedDict, total=False):
    monitors: list[str] | None
    path: str
    readOnly: bool
    secretFile: str
    secretRef: LocalObjectReference
    user: str


class CertificateSigningRequest(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: CertificateSigningRequestSpec
    status: CertificateSigningRequestStatus


class CertificateSigningRequestCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    lastUpdateTime: str | None
    message: str
    reason: str
    status: str
    type: str


class CertificateSigningRequestList(TypedDict, total=False):
    apiVersion: str
    items: list[CertificateSigningRequest]
    kind: str
    metadata: ListMeta


class CertificateSigningRequestSpec(TypedDict, total=False):
    expirationSeconds: int
    extra: dict[str, list[str]]
    groups: list[str]
    request: str | None
    signerName: str
    uid: str
    usages: list[str]
    username: str


class CertificateSigningRequestStatus(TypedDict, total=False):
    certificate: str
    conditions: list[CertificateSigningRequestCondition]


class CinderPersistentVolumeSource(TypedDict, total=False):
    fsType: str
    readOnly: bool
    secretRef: SecretReference
    volumeID: str


class CinderVolumeSource(TypedDict, total=False):
    fsType: str
    readOnly: bool
    secretRef: LocalObjectReference
    volumeID: str


class ClientIPConfig(TypedDict, total=False):
    timeoutSeconds: int


class ClusterRole(TypedDict, total=False):
    aggregationRule: AggregationRule
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    rules: list[PolicyRule] | None


class ClusterRoleBinding(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    roleRef: RoleRef
    subjects: list[RbacV1Subject]


class ClusterRoleBindingList(TypedDict, total=False):
    apiVersion: str
    items: list[ClusterRoleBinding]
    kind: str
    metadata: ListMeta


class ClusterRoleList(TypedDict, total=False):
    apiVersion: str
    items: list[ClusterRole]
    kind: str
    metadata: ListMeta


class ClusterTrustBundle(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ClusterTrustBundleSpec


class ClusterTrustBundleList(TypedDict, total=False):
    apiVersion: str
    items: list[ClusterTrustBundle]
    kind: str
    metadata: ListMeta


class ClusterTrustBundleProjection(TypedDict, total=False):
    labelSelector: LabelSelector
    name: str
    optional: bool
    path: str
    signerName: str
    user: int


class ClusterTrustBundleSpec(TypedDict, total=False):
    signerName: str
    trustBundle: str


class ComponentCondition(TypedDict, total=False):
    error: str
    message: str
    status: str
    type: str


class ComponentStatus(TypedDict, total=False):
    apiVersion: str
    conditions: list[ComponentCondition]
    kind: str
    metadata: ObjectMeta


class ComponentStatusList(TypedDict, total=False):
    apiVersion: str
    items: list[ComponentStatus]
    kind: str
    metadata: ListMeta


class Condition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    observedGeneration: int
    reason: str
    status: str
    type: str


class ConfigMap(TypedDict, total=False):
    apiVersion: str
    binaryData: dict[str, str]
    data: dict[str, str]
    immutable: bool
    kind: str
    metadata: ObjectMeta


class ConfigMapEnvSource(TypedDict, total=False):
    name: str
    optional: bool


class ConfigMapKeySelector(TypedDict, total=False):
    key: str
    name: str
    optional: bool


class ConfigMapList(TypedDict, total=False):
    apiVersion: str
    items: list[ConfigMap]
    kind: str
    metadata: ListMeta


class ConfigMapNodeConfigSource(TypedDict, total=False):
    kubeletConfigKey: str
    name: str
    namespace: str
    resourceVersion: str
    uid: str


class ConfigMapProjection(TypedDict, total=False):
    items: list[KeyToPath]
    name: str
    optional: bool


class ConfigMapVolumeSource(TypedDict, total=False):
    defaultMode: int
    defaultUser: int
    items: list[KeyToPath]
    name: str
    optional: bool


class Container(TypedDict, total=False):
    args: list[str]
    command: list[str]
    env: list[EnvVar]
    envFrom: list[EnvFromSource]
    image: str
    imagePullPolicy: str
    lifecycle: Lifecycle
    livenessProbe: Probe
    name: str
    ports: list[ContainerPort]
    readinessProbe: Probe
    resizePolicy: list[ContainerResizePolicy]
    resources: ResourceRequirements
    restartPolicy: str
    restartPolicyRules: list[ContainerRestartRule]
    securityContext: SecurityContext
    startupProbe: Probe
    stdin: bool
    stdinOnce: bool
    terminationMessagePath: str
    terminationMessagePolicy: str
    tty: bool
    volumeDevices: list[VolumeDevice]
    volumeMounts: list[VolumeMount]
    workingDir: str


class ContainerExtendedResourceRequest(TypedDict, total=False):
    containerName: str
    requestName: str
    resourceName: str


class ContainerImage(TypedDict, total=False):
    names: list[str] | None
    sizeBytes: int


class ContainerPort(TypedDict, total=False):
    containerPort: int
    hostIP: str
    hostPort: int
    name: str
    protocol: str


class ContainerResizePolicy(TypedDict, total=False):
    resourceName: str
    restartPolicy: str


class ContainerResourceMetricSource(TypedDict, total=False):
    container: str
    name: str
    target: MetricTarget


class ContainerResourceMetricStatus(TypedDict, total=False):
    container: str
    current: MetricValueStatus
    name: str


class ContainerRestartRule(TypedDict, total=False):
    action: str
    exitCodes: ContainerRestartRuleOnExitCodes


class ContainerRestartRuleOnExitCodes(TypedDict, total=False):
    operator: str
    values: list[int]


class ContainerState(TypedDict, total=False):
    running: ContainerStateRunning
    terminated: ContainerStateTerminated
    waiting: ContainerStateWaiting


class ContainerStateRunning(TypedDict, total=False):
    startedAt: str | None


class ContainerStateTerminated(TypedDict, total=False):
    containerID: str
    exitCode: int
    finishedAt: str | None
    message: str
    reason: str
    signal: int
    startedAt: str | None


class ContainerStateWaiting(TypedDict, total=False):
    message: str
    reason: str


class ContainerStatus(TypedDict, total=False):
    allocatedResources: dict[str, str | int | float]
    allocatedResourcesStatus: list[ResourceStatus]
    containerID: str
    image: str
    imageID: str
    lastState: ContainerState
    name: str
    ready: bool
    resources: ResourceRequirements
    restartCount: int
    started: bool
    state: ContainerState
    stopSignal: str
    user: ContainerUser
    volumeMounts: list[VolumeMountStatus]


class ContainerUser(TypedDict, total=False):
    linux: LinuxContainerUser


class ControllerRevision(TypedDict, total=False):
    apiVersion: str
    data: Any
    kind: str
    metadata: ObjectMeta
    revision: int


class ControllerRevisionList(TypedDict, total=False):
    apiVersion: str
    items: list[ControllerRevision]
    kind: str
    metadata: ListMeta


class Counter(TypedDict, total=False):
    value: str | int | float


class CounterSet(TypedDict, total=False):
    counters: dict[str, Counter]
    name: str


class CronJob(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: CronJobSpec
    status: CronJobStatus


class CronJobList(TypedDict, total=False):
    apiVersion: str
    items: list[CronJob]
    kind: str
    metadata: ListMeta


class CronJobSpec(TypedDict, total=False):
    concurrencyPolicy: str
    failedJobsHistoryLimit: int
    jobTemplate: JobTemplateSpec
    schedule: str
    startingDeadlineSeconds: int
    successfulJobsHistoryLimit: int
    suspend: bool
    timeZone: str


class CronJobStatus(TypedDict, total=False):
    active: list[ObjectReference]
    lastScheduleTime: str
    lastSuccessfulTime: str


class CrossVersionObjectReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str


class CustomResourceColumnDefinition(TypedDict, total=False):
    description: str
    format: str
    jsonPath: str
    name: str
    priority: int
    type: str


class CustomResourceConversion(TypedDict, total=False):
    strategy: str
    webhook: WebhookConversion


class CustomResourceDefinition(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: CustomResourceDefinitionSpec
    status: CustomResourceDefinitionStatus


class CustomResourceDefinitionCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    observedGeneration: int
    reason: str
    status: str
    type: str


class CustomResourceDefinitionList(TypedDict, total=False):
    apiVersion: str
    items: list[CustomResourceDefinition]
    kind: str
    metadata: ListMeta


class CustomResourceDefinitionNames(TypedDict, total=False):
    categories: list[str]
    kind: str
    listKind: str
    plural: str
    shortNames: list[str]
    singular: str


class CustomResourceDefinitionSpec(TypedDict, total=False):
    conversion: CustomResourceConversion
    group: str
    names: CustomResourceDefinitionNames
    preserveUnknownFields: bool
    scope: str
    versions: list[CustomResourceDefinitionVersion] | None


class CustomResourceDefinitionStatus(TypedDict, total=False):
    acceptedNames: CustomResourceDefinitionNames
    conditions: list[CustomResourceDefinitionCondition] | None
    observedGeneration: int
    storedVersions: list[str] | None


class CustomResourceDefinitionVersion(TypedDict, total=False):
    additionalPrinterColumns: list[CustomResourceColumnDefinition]
    deprecated: bool
    deprecationWarning: str
    name: str
    schema: CustomResourceValidation
    selectableFields: list[SelectableField]
    served: bool
    storage: bool
    subresources: CustomResourceSubresources


class CustomResourceSubresourceScale(TypedDict, total=False):
    labelSelectorPath: str
    specReplicasPath: str
    statusReplicasPath: str


class CustomResourceSubresourceStatus(TypedDict, total=False):
    pass


class CustomResourceSubresources(TypedDict, total=False):
    scale: CustomResourceSubresourceScale
    status: CustomResourceSubresourceStatus


class CustomResourceValidation(TypedDict, total=False):
    openAPIV3Schema: JSONSchemaProps


class DaemonEndpoint(TypedDict, total=False):
    Port: int


class DaemonSet(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: DaemonSetSpec
    status: DaemonSetStatus


class DaemonSetCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class DaemonSetList(TypedDict, total=False):
    apiVersion: str
    items: list[DaemonSet]
    kind: str
    metadata: ListMeta


class DaemonSetSpec(TypedDict, total=False):
    minReadySeconds: int
    revisionHistoryLimit: int
    selector: LabelSelector | None
    template: PodTemplateSpec
    updateStrategy: DaemonSetUpdateStrategy


class DaemonSetStatus(TypedDict, total=False):
    collisionCount: int
    conditions: list[DaemonSetCondition]
    currentNumberScheduled: int
    desiredNumberScheduled: int
    numberAvailable: int
    numberMisscheduled: int
    numberReady: int
    numberUnavailable: int
    observedGeneration: int
    updatedNumberScheduled: int


class DaemonSetUpdateStrategy(TypedDict, total=False):
    rollingUpdate: RollingUpdateDaemonSet
    type: str


class DeleteOptions(TypedDict, total=False):
    apiVersion: str
    dryRun: list[str]
    gracePeriodSeconds: int
    ignoreStoreReadErrorWithClusterBreakingPotential: bool
    kind: str
    orphanDependents: bool
    preconditions: Preconditions
    propagationPolicy: str


class Deployment(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: DeploymentSpec
    status: DeploymentStatus


class DeploymentCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    lastUpdateTime: str | None
    message: str
    reason: str
    status: str
    type: str


class DeploymentList(TypedDict, total=False):
    apiVersion: str
    items: list[Deployment]
    kind: str
    metadata: ListMeta


class DeploymentSpec(TypedDict, total=False):
    minReadySeconds: int
    paused: bool
    progressDeadlineSeconds: int
    replicas: int
    revisionHistoryLimit: int
    selector: LabelSelector | None
    strategy: DeploymentStrategy
    template: PodTemplateSpec


class DeploymentStatus(TypedDict, total=False):
    availableReplicas: int
    collisionCount: int
    conditions: list[DeploymentCondition]
    observedGeneration: int
    readyReplicas: int
    replicas: int
    terminatingReplicas: int
    unavailableReplicas: int
    updatedReplicas: int


class DeploymentStrategy(TypedDict, total=False):
    rollingUpdate: RollingUpdateDeployment
    type: str


class Device(TypedDict, total=False):
    allNodes: bool
    allowMultipleAllocations: bool
    attributes: dict[str, DeviceAttribute]
    bindingConditions: list[str]
    bindingFailureConditions: list[str]
    bindsToNode: bool
    capacity: dict[str, DeviceCapacity]
    consumesCounters: list[DeviceCounterConsumption]
    name: str
    nodeAllocatableResources: dict[str, NodeAllocatableResource]
    nodeName: str
    nodeSelector: NodeSelector
    taints: list[DeviceTaint]


class DeviceAllocationConfiguration(TypedDict, total=False):
    opaque: OpaqueDeviceConfiguration
    requests: list[str]
    source: str


class DeviceAllocationResult(TypedDict, total=False):
    config: list[DeviceAllocationConfiguration]
    results: list[DeviceRequestAllocationResult]


class DeviceAttribute(TypedDict, total=False):
    bool: bool
    bools: list[bool]
    int: int
    ints: list[int]
    string: str
    strings: list[str]
    version: str
    versions: list[str]


class DeviceCapacity(TypedDict, total=False):
    requestPolicy: CapacityRequestPolicy
    value: str | int | float


class DeviceClaim(TypedDict, total=False):
    config: list[DeviceClaimConfiguration]
    constraints: list[DeviceConstraint]
    requests: list[DeviceRequest] | None


class DeviceClaimConfiguration(TypedDict, total=False):
    opaque: OpaqueDeviceConfiguration
    requests: list[str]


class DeviceClass(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: DeviceClassSpec


class DeviceClassConfiguration(TypedDict, total=False):
    opaque: OpaqueDeviceConfiguration


class DeviceClassList(TypedDict, total=False):
    apiVersion: str
    items: list[DeviceClass]
    kind: str
    metadata: ListMeta


class DeviceClassSpec(TypedDict, total=False):
    config: list[DeviceClassConfiguration]
    extendedResourceName: str
    selectors: list[DeviceSelector]


class DeviceConstraint(TypedDict, total=False):
    distinctAttribute: str
    matchAttribute: str
    requests: list[str]


class DeviceCounterConsumption(TypedDict, total=False):
    compatibilityGroups: list[str]
    counterSet: str
    counters: dict[str, Counter]


class DeviceDerivedAttribute(TypedDict, total=False):
    expression: str
    name: str


class DeviceRequest(TypedDict, total=False):
    exactly: ExactDeviceRequest
    firstAvailable: list[DeviceSubRequest]
    name: str


class DeviceRequestAllocationResult(TypedDict, total=False):
    adminAccess: bool
    bindingConditions: list[str]
    bindingFailureConditions: list[str]
    consumedCapacity: dict[str, str | int | float]
    device: str
    driver: str
    pool: str
    request: str
    shareID: str
    skipNodeOperations: list[str]
    tolerations: list[DeviceToleration]


class DeviceSelector(TypedDict, total=False):
    cel: CELDeviceSelector


class DeviceSubRequest(TypedDict, total=False):
    allocationMode: str
    capacity: CapacityRequirements
    count: int
    derivedAttributes: list[DeviceDerivedAttribute]
    deviceClassName: str
    name: str
    selectors: list[DeviceSelector]
    tolerations: list[DeviceToleration]


class DeviceTaint(TypedDict, total=False):
    effect: str
    key: str
    timeAdded: str
    value: str


class DeviceTaintRule(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: DeviceTaintRuleSpec
    status: DeviceTaintRuleStatus


class DeviceTaintRuleList(TypedDict, total=False):
    apiVersion: str
    items: list[DeviceTaintRule]
    kind: str
    metadata: ListMeta


class DeviceTaintRuleSpec(TypedDict, total=False):
    deviceSelector: DeviceTaintSelector
    taint: DeviceTaint


class DeviceTaintRuleStatus(TypedDict, total=False):
    conditions: list[Condition]


class DeviceTaintSelector(TypedDict, total=False):
    device: str
    driver: str
    pool: str


class DeviceToleration(TypedDict, total=False):
    effect: str
    key: str
    operator: str
    tolerationSeconds: int
    value: str


class DiscoveryV1EndpointPort(TypedDict, total=False):
    appProtocol: str
    name: str
    port: int
    protocol: str


class DownwardAPIProjection(TypedDict, total=False):
    items: list[DownwardAPIVolumeFile]


class DownwardAPIVolumeFile(TypedDict, total=False):
    fieldRef: ObjectFieldSelector
    mode: int
    path: str
    resourceFieldRef: ResourceFieldSelector
    user: int


class DownwardAPIVolumeSource(TypedDict, total=False):
    defaultMode: int
    defaultUser: int
    items: list[DownwardAPIVolumeFile]


class EmptyDirVolumeSource(TypedDict, total=False):
    medium: str
    mode: int
    sizeLimit: str | int | float


class Endpoint(TypedDict, total=False):
    addresses: list[str] | None
    conditions: EndpointConditions
    deprecatedTopology: dict[str, str]
    hints: EndpointHints
    hostname: str
    nodeName: str
    targetRef: ObjectReference
    zone: str


class EndpointAddress(TypedDict, total=False):
    hostname: str
    ip: str
    nodeName: str
    targetRef: ObjectReference


class EndpointConditions(TypedDict, total=False):
    ready: bool
    serving: bool
    terminating: bool


class EndpointHints(TypedDict, total=False):
    forNodes: list[ForNode]
    forZones: list[ForZone]


class EndpointPort(TypedDict, total=False):
    appProtocol: str
    name: str
    port: int
    protocol: str


class EndpointSlice(TypedDict, total=False):
    addressType: str
    apiVersion: str
    endpoints: list[Endpoint] | None
    kind: str
    metadata: ObjectMeta
    ports: list[DiscoveryV1EndpointPort] | None


class EndpointSliceList(TypedDict, total=False):
    apiVersion: str
    items: list[EndpointSlice]
    kind: str
    metadata: ListMeta


class EndpointSubset(TypedDict, total=False):
    addresses: list[EndpointAddress]
    notReadyAddresses: list[EndpointAddress]
    ports: list[EndpointPort]


class Endpoints(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    subsets: list[EndpointSubset]


class EndpointsList(TypedDict, total=False):
    apiVersion: str
    items: list[Endpoints]
    kind: str
    metadata: ListMeta


class EnvFromSource(TypedDict, total=False):
    configMapRef: ConfigMapEnvSource
    prefix: str
    secretRef: SecretEnvSource


class EnvVar(TypedDict, total=False):
    name: str
    value: str
    valueFrom: EnvVarSource


class EnvVarSource(TypedDict, total=False):
    configMapKeyRef: ConfigMapKeySelector
    fieldRef: ObjectFieldSelector
    fileKeyRef: FileKeySelector
    resourceFieldRef: ResourceFieldSelector
    secretKeyRef: SecretKeySelector


class EphemeralContainer(TypedDict, total=False):
    args: list[str]
    command: list[str]
    env: list[EnvVar]
    envFrom: list[EnvFromSource]
    image: str
    imagePullPolicy: str
    lifecycle: Lifecycle
    livenessProbe: Probe
    name: str
    ports: list[ContainerPort]
    readinessProbe: Probe
    resizePolicy: list[ContainerResizePolicy]
    resources: ResourceRequirements
    restartPolicy: str
    restartPolicyRules: list[ContainerRestartRule]
    securityContext: SecurityContext
    startupProbe: Probe
    stdin: bool
    stdinOnce: bool
    targetContainerName: str
    terminationMessagePath: str
    terminationMessagePolicy: str
    tty: bool
    volumeDevices: list[VolumeDevice]
    volumeMounts: list[VolumeMount]
    workingDir: str


class EphemeralVolumeSource(TypedDict, total=False):
    volumeClaimTemplate: PersistentVolumeClaimTemplate


class Event(TypedDict, total=False):
    action: str
    apiVersion: str
    count: int
    eventTime: str | None
    firstTimestamp: str | None
    involvedObject: ObjectReference
    kind: str
    lastTimestamp: str | None
    message: str
    metadata: ObjectMeta
    reason: str
    related: ObjectReference
    reportingComponent: str
    reportingInstance: str
    series: EventSeries
    source: EventSource
    type: str


class EventList(TypedDict, total=False):
    apiVersion: str
    items: list[Event]
    kind: str
    metadata: ListMeta


class EventSeries(TypedDict, total=False):
    count: int
    lastObservedTime: str | None


class EventSource(TypedDict, total=False):
    component: str
    host: str


class EventsV1Event(TypedDict, total=False):
    action: str
    apiVersion: str
    deprecatedCount: int
    deprecatedFirstTimestamp: str | None
    deprecatedLastTimestamp: str | None
    deprecatedSource: EventSource
    eventTime: str | None
    kind: str
    metadata: ObjectMeta
    note: str
    reason: str
    regarding: ObjectReference
    related: ObjectReference
    reportingController: str
    reportingInstance: str
    series: EventsV1EventSeries
    type: str


class EventsV1EventList(TypedDict, total=False):
    apiVersion: str
    items: list[EventsV1Event]
    kind: str
    metadata: ListMeta


class EventsV1EventSeries(TypedDict, total=False):
    count: int
    lastObservedTime: str | None


class Eviction(TypedDict, total=False):
    apiVersion: str
    deleteOptions: DeleteOptions
    kind: str
    metadata: ObjectMeta


class EvictionResponder(TypedDict, total=False):
    name: str
    priority: int | None


class ExactDeviceRequest(TypedDict, total=False):
    adminAccess: bool
    allocationMode: str
    capacity: CapacityRequirements
    count: int
    derivedAttributes: list[DeviceDerivedAttribute]
    deviceClassName: str
    selectors: list[DeviceSelector]
    tolerations: list[DeviceToleration]


class ExecAction(TypedDict, total=False):
    command: list[str]


class ExemptPriorityLevelConfiguration(TypedDict, total=False):
    lendablePercent: int
    nominalConcurrencyShares: int


class ExpressionWarning(TypedDict, total=False):
    fieldRef: str
    warning: str


class ExternalDocumentation(TypedDict, total=False):
    description: str
    url: str


class ExternalMetricSource(TypedDict, total=False):
    metric: MetricIdentifier
    target: MetricTarget


class ExternalMetricStatus(TypedDict, total=False):
    current: MetricValueStatus
    metric: MetricIdentifier


class FCVolumeSource(TypedDict, total=False):
    fsType: str
    lun: int
    readOnly: bool
    targetWWNs: list[str]
    wwids: list[str]


class FieldSelectorAttributes(TypedDict, total=False):
    rawSelector: str
    requirements: list[FieldSelectorRequirement]


class FieldSelectorRequirement(TypedDict, total=False):
    key: str
    operator: str
    values: list[str]


class FileKeySelector(TypedDict, total=False):
    key: str
    optional: bool
    path: str
    volumeName: str


class FlexPersistentVolumeSource(TypedDict, total=False):
    driver: str
    fsType: str
    options: dict[str, str]
    readOnly: bool
    secretRef: SecretReference


class FlexVolumeSource(TypedDict, total=False):
    driver: str
    fsType: str
    options: dict[str, str]
    readOnly: bool
    secretRef: LocalObjectReference


class FlockerVolumeSource(TypedDict, total=False):
    datasetName: str
    datasetUUID: str


class FlowDistinguisherMethod(TypedDict, total=False):
    type: str


class FlowSchema(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: FlowSchemaSpec
    status: FlowSchemaStatus


class FlowSchemaCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class FlowSchemaList(TypedDict, total=False):
    apiVersion: str
    items: list[FlowSchema]
    kind: str
    metadata: ListMeta


class FlowSchemaSpec(TypedDict, total=False):
    distinguisherMethod: FlowDistinguisherMethod
    matchingPrecedence: int
    priorityLevelConfiguration: PriorityLevelConfigurationReference
    rules: list[PolicyRulesWithSubjects]


class FlowSchemaStatus(TypedDict, total=False):
    conditions: list[FlowSchemaCondition]


class ForNode(TypedDict, total=False):
    name: str


class ForZone(TypedDict, total=False):
    name: str


class GCEPersistentDiskVolumeSource(TypedDict, total=False):
    fsType: str
    partition: int
    pdName: str
    readOnly: bool


class GRPCAction(TypedDict, total=False):
    mode: str
    port: int
    service: str | None


class GitRepoVolumeSource(TypedDict, total=False):
    directory: str
    repository: str
    revision: str


class GlusterfsPersistentVolumeSource(TypedDict, total=False):
    endpoints: str
    endpointsNamespace: str
    path: str
    readOnly: bool


class GlusterfsVolumeSource(TypedDict, total=False):
    endpoints: str
    path: str
    readOnly: bool


class GroupResource(TypedDict, total=False):
    group: str
    resource: str


class GroupSubject(TypedDict, total=False):
    name: str


class GroupVersionForDiscovery(TypedDict, total=False):
    groupVersion: str
    version: str


class HPAScalingPolicy(TypedDict, total=False):
    periodSeconds: int
    type: str
    value: int


class HPAScalingRules(TypedDict, total=False):
    policies: list[HPAScalingPolicy]
    selectPolicy: str
    stabilizationWindowSeconds: int
    tolerance: str | int | float


class HTTPGetAction(TypedDict, total=False):
    host: str
    httpHeaders: list[HTTPHeader]
    path: str
    port: int | str
    protocol: str
    scheme: str


class HTTPHeader(TypedDict, total=False):
    name: str
    value: str


class HTTPIngressPath(TypedDict, total=False):
    backend: IngressBackend
    path: str
    pathType: str | None


class HTTPIngressRuleValue(TypedDict, total=False):
    paths: list[HTTPIngressPath] | None


class HorizontalPodAutoscaler(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: HorizontalPodAutoscalerSpec
    status: HorizontalPodAutoscalerStatus


class HorizontalPodAutoscalerBehavior(TypedDict, total=False):
    scaleDown: HPAScalingRules
    scaleUp: HPAScalingRules


class HorizontalPodAutoscalerCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    observedGeneration: int
    reason: str
    status: str
    type: str


class HorizontalPodAutoscalerList(TypedDict, total=False):
    apiVersion: str
    items: list[HorizontalPodAutoscaler]
    kind: str
    metadata: ListMeta


class HorizontalPodAutoscalerSpec(TypedDict, total=False):
    behavior: HorizontalPodAutoscalerBehavior
    maxReplicas: int
    metrics: list[MetricSpec]
    minReplicas: int
    scaleTargetRef: CrossVersionObjectReference


class HorizontalPodAutoscalerStatus(TypedDict, total=False):
    conditions: list[HorizontalPodAutoscalerCondition]
    currentMetrics: list[MetricStatus] | None
    currentReplicas: int
    desiredReplicas: int
    lastScaleTime: str
    observedGeneration: int


class HostAlias(TypedDict, total=False):
    hostnames: list[str]
    ip: str


class HostIP(TypedDict, total=False):
    ip: str


class HostPathVolumeSource(TypedDict, total=False):
    path: str
    type: str


class IPAddress(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: IPAddressSpec


class IPAddressList(TypedDict, total=False):
    apiVersion: str
    items: list[IPAddress]
    kind: str
    metadata: ListMeta


class IPAddressSpec(TypedDict, total=False):
    parentRef: ParentReference


IPBlock = TypedDict(
    "IPBlock",
    {
        "cidr": "str",
        "except": "list[str]",
    },
    total=False,
)


class ISCSIPersistentVolumeSource(TypedDict, total=False):
    chapAuthDiscovery: bool
    chapAuthSession: bool
    fsType: str
    initiatorName: str
    iqn: str
    iscsiInterface: str
    lun: int
    portals: list[str]
    readOnly: bool
    secretRef: SecretReference
    targetPortal: str


class ISCSIVolumeSource(TypedDict, total=False):
    chapAuthDiscovery: bool
    chapAuthSession: bool
    fsType: str
    initiatorName: str
    iqn: str
    iscsiInterface: str
    lun: int
    portals: list[str]
    readOnly: bool
    secretRef: LocalObjectReference
    targetPortal: str


class ImageVolumeSource(TypedDict, total=False):
    pullPolicy: str
    reference: str


class ImageVolumeStatus(TypedDict, total=False):
    imageRef: str


class Ingress(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: IngressSpec
    status: IngressStatus


class IngressBackend(TypedDict, total=False):
    resource: TypedLocalObjectReference
    service: IngressServiceBackend


class IngressClass(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: IngressClassSpec


class IngressClassList(TypedDict, total=False):
    apiVersion: str
    items: list[IngressClass]
    kind: str
    metadata: ListMeta


class IngressClassParametersReference(TypedDict, total=False):
    apiGroup: str
    kind: str
    name: str
    namespace: str
    scope: str | None


class IngressClassSpec(TypedDict, total=False):
    controller: str
    parameters: IngressClassParametersReference


class IngressList(TypedDict, total=False):
    apiVersion: str
    items: list[Ingress]
    kind: str
    metadata: ListMeta


class IngressLoadBalancerIngress(TypedDict, total=False):
    hostname: str
    ip: str
    ports: list[IngressPortStatus]


class IngressLoadBalancerStatus(TypedDict, total=False):
    ingress: list[IngressLoadBalancerIngress]


class IngressPortStatus(TypedDict, total=False):
    error: str
    port: int
    protocol: str


class IngressRule(TypedDict, total=False):
    host: str
    http: HTTPIngressRuleValue


class IngressServiceBackend(TypedDict, total=False):
    name: str
    port: ServiceBackendPort


class IngressSpec(TypedDict, total=False):
    defaultBackend: IngressBackend
    ingressClassName: str
    rules: list[IngressRule]
    tls: list[IngressTLS]


class IngressStatus(TypedDict, total=False):
    loadBalancer: IngressLoadBalancerStatus


class IngressTLS(TypedDict, total=False):
    hosts: list[str]
    secretName: str


class JSONPatch(TypedDict, total=False):
    expression: str


JSONSchemaProps = TypedDict(
    "JSONSchemaProps",
    {
        "$ref": "str",
        "$schema": "str",
        "additionalItems": "Any",
        "additionalProperties": "Any",
        "allOf": "list[JSONSchemaProps]",
        "anyOf": "list[JSONSchemaProps]",
        "default": "Any",
        "definitions": "dict[str, JSONSchemaProps]",
        "dependencies": "dict[str, Any]",
        "description": "str",
        "enum": "list[Any]",
        "example": "Any",
        "exclusiveMaximum": "bool",
        "exclusiveMinimum": "bool",
        "externalDocs": "ExternalDocumentation",
        "format": "str",
        "id": "str",
        "items": "Any",
        "maxItems": "int",
        "maxLength": "int",
        "maxProperties": "int",
        "maximum": "float",
        "minItems": "int",
        "minLength": "int",
        "minProperties": "int",
        "minimum": "float",
        "multipleOf": "float",
        "not": "JSONSchemaProps",
        "nullable": "bool",
        "oneOf": "list[JSONSchemaProps]",
        "pattern": "str",
        "patternProperties": "dict[str, JSONSchemaProps]",
        "properties": "dict[str, JSONSchemaProps]",
        "required": "list[str]",
        "title": "str",
        "type": "str",
        "uniqueItems": "bool",
        "x-kubernetes-embedded-resource": "bool",
        "x-kubernetes-int-or-string": "bool",
        "x-kubernetes-list-map-keys": "list[str]",
        "x-kubernetes-list-type": "str",
        "x-kubernetes-map-type": "str",
        "x-kubernetes-preserve-unknown-fields": "bool",
        "x-kubernetes-validations": "list[ValidationRule]",
    },
    total=False,
)


class Job(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: JobSpec
    status: JobStatus


class JobCondition(TypedDict, total=False):
    lastProbeTime: str | None
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class JobList(TypedDict, total=False):
    apiVersion: str
    items: list[Job]
    kind: str
    metadata: ListMeta


class JobSchedulingConfiguration(TypedDict, total=False):
    disruptionMode: WorkloadPodGroupDisruptionMode
    resourceClaims: list[WorkloadPodGroupResourceClaim]
    schedulingConstraints: WorkloadPodGroupSchedulingConstraints
    schedulingPolicy: WorkloadPodGroupSchedulingPolicy


class JobSpec(TypedDict, total=False):
    activeDeadlineSeconds: int
    backoffLimit: int
    backoffLimitPerIndex: int
    completionMode: str
    completions: int
    managedBy: str
    manualSelector: bool
    maxFailedIndexes: int
    parallelism: int
    podFailurePolicy: PodFailurePolicy
    podReplacementPolicy: str
    scheduling: JobSchedulingConfiguration
    selector: LabelSelector
    successPolicy: SuccessPolicy
    suspend: bool
    template: PodTemplateSpec
    ttlSecondsAfterFinished: int


class JobStatus(TypedDict, total=False):
    active: int
    completedIndexes: str
    completionTime: str
    conditions: list[JobCondition]
    failed: int
    failedIndexes: str
    ready: int
    startTime: str
    succeeded: int
    terminating: int
    uncountedTerminatedPods: UncountedTerminatedPods


class JobTemplateSpec(TypedDict, total=False):
    metadata: ObjectMeta
    spec: JobSpec


class KeyToPath(TypedDict, total=False):
    key: str
    mode: int
    path: str
    user: int


class LabelSelector(TypedDict, total=False):
    matchExpressions: list[LabelSelectorRequirement]
    matchLabels: dict[str, str]


class LabelSelectorAttributes(TypedDict, total=False):
    rawSelector: str
    requirements: list[LabelSelectorRequirement]


class LabelSelectorRequirement(TypedDict, total=False):
    key: str
    operator: str
    values: list[str]


class Lease(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: LeaseSpec


class LeaseList(TypedDict, total=False):
    apiVersion: str
    items: list[Lease]
    kind: str
    metadata: ListMeta


class LeaseSpec(TypedDict, total=False):
    acquireTime: str
    holderIdentity: str
    leaseDurationSeconds: int
    leaseTransitions: int
    preferredHolder: str
    renewTime: str
    strategy: str


class Lifecycle(TypedDict, total=False):
    postStart: LifecycleHandler
    preStop: LifecycleHandler
    stopSignal: str


class LifecycleHandler(TypedDict, total=False):
    exec: ExecAction
    httpGet: HTTPGetAction
    sleep: SleepAction
    tcpSocket: TCPSocketAction


class LimitRange(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: LimitRangeSpec


class LimitRangeItem(TypedDict, total=False):
    default: dict[str, str | int | float]
    defaultRequest: dict[str, str | int | float]
    max: dict[str, str | int | float]
    maxLimitRequestRatio: dict[str, str | int | float]
    min: dict[str, str | int | float]
    type: str


class LimitRangeList(TypedDict, total=False):
    apiVersion: str
    items: list[LimitRange]
    kind: str
    metadata: ListMeta


class LimitRangeSpec(TypedDict, total=False):
    limits: list[LimitRangeItem] | None


class LimitResponse(TypedDict, total=False):
    queuing: QueuingConfiguration
    type: str


class LimitedPriorityLevelConfiguration(TypedDict, total=False):
    borrowingLimitPercent: int
    lendablePercent: int
    limitResponse: LimitResponse
    nominalConcurrencyShares: int | None


class LinuxContainerUser(TypedDict, total=False):
    gid: int
    supplementalGroups: list[int]
    uid: int


ListMeta = TypedDict(
    "ListMeta",
    {
        "continue": "str",
        "remainingItemCount": "int",
        "resourceVersion": "str",
        "selfLink": "str",
        "shardInfo": "ShardInfo",
    },
    total=False,
)


class LoadBalancerIngress(TypedDict, total=False):
    hostname: str
    ip: str
    ipMode: str
    ports: list[PortStatus]


class LoadBalancerStatus(TypedDict, total=False):
    ingress: list[LoadBalancerIngress]


class LocalObjectReference(TypedDict, total=False):
    name: str


class LocalSubjectAccessReview(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: SubjectAccessReviewSpec
    status: SubjectAccessReviewStatus


class LocalVolumeSource(TypedDict, total=False):
    fsType: str
    path: str


class ManagedFieldsEntry(TypedDict, total=False):
    apiVersion: str
    fieldsType: str
    fieldsV1: Any
    manager: str
    operation: str
    subresource: str
    time: str


class MatchCondition(TypedDict, total=False):
    expression: str
    name: str


class MatchResources(TypedDict, total=False):
    excludeResourceRules: list[NamedRuleWithOperations]
    matchPolicy: str
    namespaceSelector: LabelSelector
    objectSelector: LabelSelector
    resourceRules: list[NamedRuleWithOperations]


class MetricIdentifier(TypedDict, total=False):
    name: str
    selector: LabelSelector


class MetricSpec(TypedDict, total=False):
    containerResource: ContainerResourceMetricSource
    external: ExternalMetricSource
    object: ObjectMetricSource
    pods: PodsMetricSource
    resource: ResourceMetricSource
    type: str


class MetricStatus(TypedDict, total=False):
    containerResource: ContainerResourceMetricStatus
    external: ExternalMetricStatus
    object: ObjectMetricStatus
    pods: PodsMetricStatus
    resource: ResourceMetricStatus
    type: str


class MetricTarget(TypedDict, total=False):
    averageUtilization: int
    averageValue: str | int | float
    type: str
    value: str | int | float


class MetricValueStatus(TypedDict, total=False):
    averageUtilization: int
    averageValue: str | int | float
    value: str | int | float


class ModifyVolumeStatus(TypedDict, total=False):
    status: str
    targetVolumeAttributesClassName: str


class MutatingAdmissionPolicy(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: MutatingAdmissionPolicySpec


class MutatingAdmissionPolicyBinding(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: MutatingAdmissionPolicyBindingSpec


class MutatingAdmissionPolicyBindingList(TypedDict, total=False):
    apiVersion: str
    items: list[MutatingAdmissionPolicyBinding]
    kind: str
    metadata: ListMeta


class MutatingAdmissionPolicyBindingSpec(TypedDict, total=False):
    matchResources: MatchResources
    paramRef: ParamRef
    policyName: str


class MutatingAdmissionPolicyList(TypedDict, total=False):
    apiVersion: str
    items: list[MutatingAdmissionPolicy]
    kind: str
    metadata: ListMeta


class MutatingAdmissionPolicySpec(TypedDict, total=False):
    failurePolicy: str
    matchConditions: list[MatchCondition]
    matchConstraints: MatchResources
    mutations: list[Mutation]
    paramKind: ParamKind
    reinvocationPolicy: str
    variables: list[Variable]


class MutatingWebhook(TypedDict, total=False):
    admissionReviewVersions: list[str] | None
    clientConfig: WebhookClientConfig
    failurePolicy: str
    matchConditions: list[MatchCondition]
    matchPolicy: str
    name: str
    namespaceSelector: LabelSelector
    objectSelector: LabelSelector
    reinvocationPolicy: str
    rules: list[RuleWithOperations]
    sideEffects: str | None
    timeoutSeconds: int


class MutatingWebhookConfiguration(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    webhooks: list[MutatingWebhook]


class MutatingWebhookConfigurationList(TypedDict, total=False):
    apiVersion: str
    items: list[MutatingWebhookConfiguration]
    kind: str
    metadata: ListMeta


class Mutation(TypedDict, total=False):
    applyConfiguration: ApplyConfiguration
    jsonPatch: JSONPatch
    patchType: str


class NFSVolumeSource(TypedDict, total=False):
    path: str
    readOnly: bool
    server: str


class NamedRuleWithOperations(TypedDict, total=False):
    apiGroups: list[str]
    apiVersions: list[str]
    operations: list[str]
    resourceNames: list[str]
    resources: list[str]
    scope: str


class Namespace(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: NamespaceSpec
    status: NamespaceStatus


class NamespaceCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class NamespaceList(TypedDict, total=False):
    apiVersion: str
    items: list[Namespace]
    kind: str
    metadata: ListMeta


class NamespaceSpec(TypedDict, total=False):
    finalizers: list[str]


class NamespaceStatus(TypedDict, total=False):
    conditions: list[NamespaceCondition]
    phase: str


class NetworkDeviceData(TypedDict, total=False):
    hardwareAddress: str
    interfaceName: str
    ips: list[str]


class NetworkPolicy(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: NetworkPolicySpec


class NetworkPolicyEgressRule(TypedDict, total=False):
    ports: list[NetworkPolicyPort]
    to: list[NetworkPolicyPeer]


NetworkPolicyIngressRule = TypedDict(
    "NetworkPolicyIngressRule",
    {
        "from": "list[NetworkPolicyPeer]",
        "ports": "list[NetworkPolicyPort]",
    },
    total=False,
)


class NetworkPolicyList(TypedDict, total=False):
    apiVersion: str
    items: list[NetworkPolicy]
    kind: str
    metadata: ListMeta


class NetworkPolicyPeer(TypedDict, total=False):
    ipBlock: IPBlock
    namespaceSelector: LabelSelector
    podSelector: LabelSelector


class NetworkPolicyPort(TypedDict, total=False):
    endPort: int
    port: int | str
    protocol: str


class NetworkPolicySpec(TypedDict, total=False):
    egress: list[NetworkPolicyEgressRule]
    ingress: list[NetworkPolicyIngressRule]
    podSelector: LabelSelector
    policyTypes: list[str]


class Node(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: NodeSpec
    status: NodeStatus


class NodeAddress(TypedDict, total=False):
    address: str
    type: str


class NodeAffinity(TypedDict, total=False):
    preferredDuringSchedulingIgnoredDuringExecution: list[PreferredSchedulingTerm]
    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector


class NodeAllocatableMappedResources(TypedDict, total=False):
    name: str
    quantity: str | int | float | None


class NodeAllocatableMapping(TypedDict, total=False):
    capacityKey: str
    capacityMultiplier: str | int | float
    deviceMultiplier: str | int | float


class NodeAllocatableOverhead(TypedDict, total=False):
    perContainer: str | int | float
    perPod: str | int | float


class NodeAllocatableOverheadResources(TypedDict, total=False):
    name: str
    perContainer: str | int | float
    perPod: str | int | float


class NodeAllocatableResource(TypedDict, total=False):
    mapping: NodeAllocatableMapping
    overhead: NodeAllocatableOverhead


class NodeAllocatableResourceClaimStatus(TypedDict, total=False):
    containers: list[str]
    mapping: list[NodeAllocatableMappedResources]
    overhead: list[NodeAllocatableOverheadResources]
    resourceClaimName: str


class NodeCondition(TypedDict, total=False):
    lastHeartbeatTime: str | None
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class NodeConfigSource(TypedDict, total=False):
    configMap: ConfigMapNodeConfigSource


class NodeConfigStatus(TypedDict, total=False):
    active: NodeConfigSource
    assigned: NodeConfigSource
    error: str
    lastKnownGood: NodeConfigSource


class NodeDaemonEndpoints(TypedDict, total=False):
    kubeletEndpoint: DaemonEndpoint


class NodeFeatures(TypedDict, total=False):
    supplementalGroupsPolicy: bool


class NodeList(TypedDict, total=False):
    apiVersion: str
    items: list[Node]
    kind: str
    metadata: ListMeta


class NodePodPreemptionPolicy(TypedDict, total=False):
    disableResizePreemption: list[str]


class NodeRuntimeHandler(TypedDict, total=False):
    features: NodeRuntimeHandlerFeatures
    name: str


class NodeRuntimeHandlerFeatures(TypedDict, total=False):
    recursiveReadOnlyMounts: bool
    userNamespaces: bool


class NodeSelector(TypedDict, total=False):
    nodeSelectorTerms: list[NodeSelectorTerm] | None


class NodeSelectorRequirement(TypedDict, total=False):
    key: str
    operator: str
    values: list[str]


class NodeSelectorTerm(TypedDict, total=False):
    matchExpressions: list[NodeSelectorRequirement]
    matchFields: list[NodeSelectorRequirement]


class NodeSpec(TypedDict, total=False):
    configSource: NodeConfigSource
    externalID: str
    podCIDR: str
    podCIDRs: list[str]
    podPreemptionPolicy: NodePodPreemptionPolicy
    providerID: str
    taints: list[Taint]
    unschedulable: bool


class NodeStatus(TypedDict, total=False):
    addresses: list[NodeAddress]
    allocatable: dict[str, str | int | float]
    capacity: dict[str, str | int | float]
    conditions: list[NodeCondition]
    config: NodeConfigStatus
    daemonEndpoints: NodeDaemonEndpoints
    declaredFeatures: list[str]
    features: NodeFeatures
    images: list[ContainerImage]
    nodeInfo: NodeSystemInfo
    phase: str
    runtimeHandlers: list[NodeRuntimeHandler]
    volumesAttached: list[AttachedVolume]
    volumesInUse: list[str]


class NodeSwapStatus(TypedDict, total=False):
    capacity: int


class NodeSystemInfo(TypedDict, total=False):
    architecture: str
    bootID: str
    containerRuntimeVersion: str
    kernelVersion: str
    kubeProxyVersion: str
    kubeletVersion: str
    machineID: str
    operatingSystem: str
    osImage: str
    runningInUserNamespace: bool
    swap: NodeSwapStatus
    systemUUID: str


class NonResourceAttributes(TypedDict, total=False):
    path: str
    verb: str


class NonResourcePolicyRule(TypedDict, total=False):
    nonResourceURLs: list[str] | None
    verbs: list[str] | None


class NonResourceRule(TypedDict, total=False):
    nonResourceURLs: list[str]
    verbs: list[str] | None


class ObjectFieldSelector(TypedDict, total=False):
    apiVersion: str
    fieldPath: str


class ObjectMeta(TypedDict, total=False):
    annotations: dict[str, str]
    creationTimestamp: str
    deletionGracePeriodSeconds: int
    deletionTimestamp: str
    finalizers: list[str]
    generateName: str
    generation: int
    labels: dict[str, str]
    managedFields: list[ManagedFieldsEntry]
    name: str
    namespace: str
    ownerReferences: list[OwnerReference]
    resourceVersion: str
    selfLink: str
    uid: str


class ObjectMetricSource(TypedDict, total=False):
    describedObject: CrossVersionObjectReference
    metric: MetricIdentifier
    target: MetricTarget


class ObjectMetricStatus(TypedDict, total=False):
    current: MetricValueStatus
    describedObject: CrossVersionObjectReference
    metric: MetricIdentifier


class ObjectReference(TypedDict, total=False):
    apiVersion: str
    fieldPath: str
    kind: str
    name: str
    namespace: str
    resourceVersion: str
    uid: str


class OpaqueDeviceConfiguration(TypedDict, total=False):
    driver: str
    parameters: Any


class Overhead(TypedDict, total=False):
    podFixed: dict[str, str | int | float]


class OwnerReference(TypedDict, total=False):
    apiVersion: str
    blockOwnerDeletion: bool
    controller: bool
    kind: str
    name: str
    uid: str


class ParamKind(TypedDict, total=False):
    apiVersion: str
    kind: str


class ParamRef(TypedDict, total=False):
    name: str
    namespace: str
    parameterNotFoundAction: str
    selector: LabelSelector


class ParentReference(TypedDict, total=False):
    group: str
    name: str
    namespace: str
    resource: str


class PersistentVolume(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: PersistentVolumeSpec
    status: PersistentVolumeStatus


class PersistentVolumeClaim(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: PersistentVolumeClaimSpec
    status: PersistentVolumeClaimStatus


class PersistentVolumeClaimCondition(TypedDict, total=False):
    lastProbeTime: str | None
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class PersistentVolumeClaimList(TypedDict, total=False):
    apiVersion: str
    items: list[PersistentVolumeClaim]
    kind: str
    metadata: ListMeta


class PersistentVolumeClaimSpec(TypedDict, total=False):
    accessModes: list[str]
    dataSource: TypedLocalObjectReference
    dataSourceRef: TypedObjectReference
    resources: VolumeResourceRequirements
    selector: LabelSelector
    storageClassName: str
    volumeAttributesClassName: str
    volumeMode: str
    volumeName: str


class PersistentVolumeClaimStatus(TypedDict, total=False):
    accessModes: list[str]
    allocatedResourceStatuses: dict[str, str]
    allocatedResources: dict[str, str | int | float]
    capacity: dict[str, str | int | float]
    conditions: list[PersistentVolumeClaimCondition]
    currentVolumeAttributesClassName: str
    healthStatus: VolumeHealthStatus
    modifyVolumeStatus: ModifyVolumeStatus
    phase: str


class PersistentVolumeClaimTemplate(TypedDict, total=False):
    metadata: ObjectMeta
    spec: PersistentVolumeClaimSpec


class PersistentVolumeClaimVolumeSource(TypedDict, total=False):
    claimName: str
    readOnly: bool


class PersistentVolumeList(TypedDict, total=False):
    apiVersion: str
    items: list[PersistentVolume]
    kind: str
    metadata: ListMeta


class PersistentVolumeSpec(TypedDict, total=False):
    accessModes: list[str]
    awsElasticBlockStore: AWSElasticBlockStoreVolumeSource
    azureDisk: AzureDiskVolumeSource
    azureFile: AzureFilePersistentVolumeSource
    capacity: dict[str, str | int | float]
    cephfs: CephFSPersistentVolumeSource
    cinder: CinderPersistentVolumeSource
    claimRef: ObjectReference
    csi: CSIPersistentVolumeSource
    fc: FCVolumeSource
    flexVolume: FlexPersistentVolumeSource
    flocker: FlockerVolumeSource
    gcePersistentDisk: GCEPersistentDiskVolumeSource
    glusterfs: GlusterfsPersistentVolumeSource
    hostPath: HostPathVolumeSource
    iscsi: ISCSIPersistentVolumeSource
    local: LocalVolumeSource
    mountOptions: list[str]
    nfs: NFSVolumeSource
    nodeAffinity: VolumeNodeAffinity
    persistentVolumeReclaimPolicy: str
    photonPersistentDisk: PhotonPersistentDiskVolumeSource
    portworxVolume: PortworxVolumeSource
    quobyte: QuobyteVolumeSource
    rbd: RBDPersistentVolumeSource
    scaleIO: ScaleIOPersistentVolumeSource
    storageClassName: str
    storageos: StorageOSPersistentVolumeSource
    volumeAttributesClassName: str
    volumeMode: str
    vsphereVolume: VsphereVirtualDiskVolumeSource


class PersistentVolumeStatus(TypedDict, total=False):
    lastPhaseTransitionTime: str
    message: str
    phase: str
    reason: str


class PhotonPersistentDiskVolumeSource(TypedDict, total=False):
    fsType: str
    pdID: str


class Pod(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: PodSpec
    status: PodStatus


class PodAffinity(TypedDict, total=False):
    preferredDuringSchedulingIgnoredDuringExecution: list[WeightedPodAffinityTerm]
    requiredDuringSchedulingIgnoredDuringExecution: list[PodAffinityTerm]


class PodAffinityTerm(TypedDict, total=False):
    labelSelector: LabelSelector
    matchLabelKeys: list[str]
    mismatchLabelKeys: list[str]
    namespaceSelector: LabelSelector
    namespaces: list[str]
    topologyKey: str


class PodAntiAffinity(TypedDict, total=False):
    preferredDuringSchedulingIgnoredDuringExecution: list[WeightedPodAffinityTerm]
    requiredDuringSchedulingIgnoredDuringExecution: list[PodAffinityTerm]


class PodCertificateProjection(TypedDict, total=False):
    certificateChainPath: str
    credentialBundlePath: str
    keyPath: str
    keyType: str
    maxExpirationSeconds: int
    signerName: str
    user: int
    userAnnotations: dict[str, str]


class PodCertificateRequest(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: PodCertificateRequestSpec
    status: PodCertificateRequestStatus


class PodCertificateRequestList(TypedDict, total=False):
    apiVersion: str
    items: list[PodCertificateRequest]
    kind: str
    metadata: ListMeta


class PodCertificateRequestSpec(TypedDict, total=False):
    maxExpirationSeconds: int
    nodeName: str
    nodeUID: str
    podName: str
    podUID: str
    serviceAccountName: str
    serviceAccountUID: str
    signerName: str
    stubPKCS10Request: str | None
    unverifiedUserAnnotations: dict[str, str]


class PodCertificateRequestStatus(TypedDict, total=False):
    beginRefreshAt: str
    certificateChain: str
    conditions: list[Condition]
    notAfter: str
    notBefore: str


class PodCondition(TypedDict, total=False):
    lastProbeTime: str | None
    lastTransitionTime: str | None
    message: str
    observedGeneration: int
    reason: str
    status: str
    type: str


class PodDNSConfig(TypedDict, total=False):
    nameservers: list[str]
    options: list[PodDNSConfigOption]
    searches: list[str]


class PodDNSConfigOption(TypedDict, total=False):
    name: str
    value: str


class PodDisruptionBudget(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: PodDisruptionBudgetSpec
    status: PodDisruptionBudgetStatus


class PodDisruptionBudgetList(TypedDict, total=False):
    apiVersion: str
    items: list[PodDisruptionBudget]
    kind: str
    metadata: ListMeta


class PodDisruptionBudgetSpec(TypedDict, total=False):
    maxUnavailable: int | str
    minAvailable: int | str
    selector: LabelSelector
    unhealthyPodEvictionPolicy: str


class PodDisruptionBudgetStatus(TypedDict, total=False):
    conditions: list[Condition]
    currentHealthy: int
    desiredHealthy: int
    disruptedPods: dict[str, str]
    disruptionsAllowed: int
    expectedPods: int
    observedGeneration: int


class PodExtendedResourceClaimStatus(TypedDict, total=False):
    requestMappings: list[ContainerExtendedResourceRequest] | None
    resourceClaimName: str


class PodFailurePolicy(TypedDict, total=False):
    rules: list[PodFailurePolicyRule] | None


class PodFailurePolicyOnExitCodesRequirement(TypedDict, total=False):
    containerName: str
    operator: str
    values: list[int] | None


class PodFailurePolicyOnPodConditionsPattern(TypedDict, total=False):
    status: str
    type: str


class PodFailurePolicyRule(TypedDict, total=False):
    action: str
    onExitCodes: PodFailurePolicyOnExitCodesRequirement
    onPodConditions: list[PodFailurePolicyOnPodConditionsPattern]


class PodIP(TypedDict, total=False):
    ip: str


class PodList(TypedDict, total=False):
    apiVersion: str
    items: list[Pod]
    kind: str
    metadata: ListMeta


class PodOS(TypedDict, total=False):
    name: str


class PodReadinessGate(TypedDict, total=False):
    conditionType: str


class PodResourceClaim(TypedDict, total=False):
    name: str
    resourceClaimName: str
    resourceClaimTemplateName: str


class PodResourceClaimStatus(TypedDict, total=False):
    name: str
    resourceClaimName: str


class PodSchedulingGate(TypedDict, total=False):
    name: str


class PodSchedulingGroup(TypedDict, total=False):
    podGroupName: str


class PodSecurityContext(TypedDict, total=False):
    appArmorProfile: AppArmorProfile
    fsGroup: int
    fsGroupChangePolicy: str
    runAsGroup: int
    runAsNonRoot: bool
    runAsUser: int
    seLinuxChangePolicy: str
    seLinuxOptions: SELinuxOptions
    seccompProfile: SeccompProfile
    supplementalGroups: list[int]
    supplementalGroupsPolicy: str
    sysctls: list[Sysctl]
    windowsOptions: WindowsSecurityContextOptions


class PodSpec(TypedDict, total=False):
    activeDeadlineSeconds: int
    affinity: Affinity
    automountServiceAccountToken: bool
    containers: list[Container] | None
    dnsConfig: PodDNSConfig
    dnsPolicy: str
    enableServiceLinks: bool
    ephemeralContainers: list[EphemeralContainer]
    evictionResponders: list[EvictionResponder]
    hostAliases: list[HostAlias]
    hostIPC: bool
    hostNetwork: bool
    hostPID: bool
    hostUsers: bool
    hostname: str
    hostnameOverride: str
    imagePullSecrets: list[LocalObjectReference]
    initContainers: list[Container]
    nodeName: str
    nodeSelector: dict[str, str]
    os: PodOS
    overhead: dict[str, str | int | float]
    preemptionPolicy: str
    priority: int
    priorityClassName: str
    readinessGates: list[PodReadinessGate]
    resourceClaims: list[PodResourceClaim]
    resources: ResourceRequirements
    restartPolicy: str
    runtimeClassName: str
    schedulerName: str
    schedulingGates: list[PodSchedulingGate]
    schedulingGroup: PodSchedulingGroup
    securityContext: PodSecurityContext
    serviceAccount: str
    serviceAccountName: str
    setHostnameAsFQDN: bool
    shareProcessNamespace: bool
    subdomain: str
    terminationGracePeriodSeconds: int
    tolerations: list[Toleration]
    topologySpreadConstraints: list[TopologySpreadConstraint]
    volumes: list[Volume]


class PodStatus(TypedDict, total=False):
    allocatedResources: dict[str, str | int | float]
    conditions: list[PodCondition]
    containerStatuses: list[ContainerStatus]
    ephemeralContainerStatuses: list[ContainerStatus]
    extendedResourceClaimStatus: PodExtendedResourceClaimStatus
    hostIP: str
    hostIPs: list[HostIP]
    initContainerStatuses: list[ContainerStatus]
    message: str
    nodeAllocatableResourceClaimStatuses: list[NodeAllocatableResourceClaimStatus]
    nominatedNodeName: str
    observedGeneration: int
    phase: str
    podIP: str
    podIPs: list[PodIP]
    qosClass: str
    reason: str
    resize: str
    resourceClaimStatuses: list[PodResourceClaimStatus]
    resources: ResourceRequirements
    startTime: str
    volumeHealth: list[PodVolumeHealth]


class PodTemplate(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    template: PodTemplateSpec


class PodTemplateList(TypedDict, total=False):
    apiVersion: str
    items: list[PodTemplate]
    kind: str
    metadata: ListMeta


class PodTemplateSpec(TypedDict, total=False):
    metadata: ObjectMeta
    spec: PodSpec


class PodVolumeHealth(TypedDict, total=False):
    healthConditions: list[VolumeHealthCondition]
    lastTransitionTime: str | None
    name: str


class PodsMetricSource(TypedDict, total=False):
    metric: MetricIdentifier
    target: MetricTarget


class PodsMetricStatus(TypedDict, total=False):
    current: MetricValueStatus
    metric: MetricIdentifier


class PolicyRule(TypedDict, total=False):
    apiGroups: list[str]
    nonResourceURLs: list[str]
    resourceNames: list[str]
    resources: list[str]
    verbs: list[str] | None


class PolicyRulesWithSubjects(TypedDict, total=False):
    nonResourceRules: list[NonResourcePolicyRule]
    resourceRules: list[ResourcePolicyRule]
    subjects: list[Subject] | None


class PortStatus(TypedDict, total=False):
    error: str
    port: int
    protocol: str


class PortworxVolumeSource(TypedDict, total=False):
    fsType: str
    readOnly: bool
    volumeID: str


class Preconditions(TypedDict, total=False):
    resourceVersion: str
    uid: str


class PreferredSchedulingTerm(TypedDict, total=False):
    preference: NodeSelectorTerm
    weight: int


class PriorityClass(TypedDict, total=False):
    apiVersion: str
    description: str
    globalDefault: bool
    kind: str
    metadata: ObjectMeta
    preemptionPolicy: str
    value: int


class PriorityClassList(TypedDict, total=False):
    apiVersion: str
    items: list[PriorityClass]
    kind: str
    metadata: ListMeta


class PriorityLevelConfiguration(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: PriorityLevelConfigurationSpec
    status: PriorityLevelConfigurationStatus


class PriorityLevelConfigurationCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class PriorityLevelConfigurationList(TypedDict, total=False):
    apiVersion: str
    items: list[PriorityLevelConfiguration]
    kind: str
    metadata: ListMeta


class PriorityLevelConfigurationReference(TypedDict, total=False):
    name: str


class PriorityLevelConfigurationSpec(TypedDict, total=False):
    exempt: ExemptPriorityLevelConfiguration
    limited: LimitedPriorityLevelConfiguration
    type: str


class PriorityLevelConfigurationStatus(TypedDict, total=False):
    conditions: list[PriorityLevelConfigurationCondition]


class Probe(TypedDict, total=False):
    exec: ExecAction
    failureThreshold: int
    grpc: GRPCAction
    httpGet: HTTPGetAction
    initialDelaySeconds: int
    periodSeconds: int
    successThreshold: int
    tcpSocket: TCPSocketAction
    terminationGracePeriodSeconds: int
    timeoutSeconds: int


class ProjectedVolumeSource(TypedDict, total=False):
    defaultMode: int
    defaultUser: int
    sources: list[VolumeProjection] | None


class QueuingConfiguration(TypedDict, total=False):
    handSize: int
    queueLengthLimit: int
    queues: int


class QuobyteVolumeSource(TypedDict, total=False):
    group: str
    readOnly: bool
    registry: str
    tenant: str
    user: str
    volume: str


class RBDPersistentVolumeSource(TypedDict, total=False):
    fsType: str
    image: str
    keyring: str
    monitors: list[str] | None
    pool: str
    readOnly: bool
    secretRef: SecretReference
    user: str


class RBDVolumeSource(TypedDict, total=False):
    fsType: str
    image: str
    keyring: str
    monitors: list[str] | None
    pool: str
    readOnly: bool
    secretRef: LocalObjectReference
    user: str


class RbacV1Subject(TypedDict, total=False):
    apiGroup: str
    kind: str
    name: str
    namespace: str


class ReplicaSet(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ReplicaSetSpec
    status: ReplicaSetStatus


class ReplicaSetCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class ReplicaSetList(TypedDict, total=False):
    apiVersion: str
    items: list[ReplicaSet]
    kind: str
    metadata: ListMeta


class ReplicaSetSpec(TypedDict, total=False):
    minReadySeconds: int
    replicas: int
    selector: LabelSelector | None
    template: PodTemplateSpec


class ReplicaSetStatus(TypedDict, total=False):
    availableReplicas: int
    conditions: list[ReplicaSetCondition]
    fullyLabeledReplicas: int
    observedGeneration: int
    readyReplicas: int
    replicas: int
    terminatingReplicas: int


class ReplicationController(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ReplicationControllerSpec
    status: ReplicationControllerStatus


class ReplicationControllerCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class ReplicationControllerList(TypedDict, total=False):
    apiVersion: str
    items: list[ReplicationController]
    kind: str
    metadata: ListMeta


class ReplicationControllerSpec(TypedDict, total=False):
    minReadySeconds: int
    replicas: int
    selector: dict[str, str]
    template: PodTemplateSpec


class ReplicationControllerStatus(TypedDict, total=False):
    availableReplicas: int
    conditions: list[ReplicationControllerCondition]
    fullyLabeledReplicas: int
    observedGeneration: int
    readyReplicas: int
    replicas: int


class ResourceAttributes(TypedDict, total=False):
    fieldSelector: FieldSelectorAttributes
    group: str
    labelSelector: LabelSelectorAttributes
    name: str
    namespace: str
    resource: str
    subresource: str
    verb: str
    version: str


class ResourceClaim(TypedDict, total=False):
    name: str
    request: str


class ResourceClaimConsumerReference(TypedDict, total=False):
    apiGroup: str
    name: str
    resource: str
    uid: str


class ResourceClaimList(TypedDict, total=False):
    apiVersion: str
    items: list[ResourceV1ResourceClaim]
    kind: str
    metadata: ListMeta


class ResourceClaimSpec(TypedDict, total=False):
    devices: DeviceClaim


class ResourceClaimStatus(TypedDict, total=False):
    allocation: AllocationResult
    devices: list[AllocatedDeviceStatus]
    reservedFor: list[ResourceClaimConsumerReference]


class ResourceClaimTemplate(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ResourceClaimTemplateSpec


class ResourceClaimTemplateList(TypedDict, total=False):
    apiVersion: str
    items: list[ResourceClaimTemplate]
    kind: str
    metadata: ListMeta


class ResourceClaimTemplateSpec(TypedDict, total=False):
    metadata: ObjectMeta
    spec: ResourceClaimSpec


class ResourceFieldSelector(TypedDict, total=False):
    containerName: str
    divisor: str | int | float
    resource: str


class ResourceHealth(TypedDict, total=False):
    health: str
    message: str
    resourceID: str


class ResourceMetricSource(TypedDict, total=False):
    name: str
    target: MetricTarget


class ResourceMetricStatus(TypedDict, total=False):
    current: MetricValueStatus
    name: str


class ResourcePolicyRule(TypedDict, total=False):
    apiGroups: list[str] | None
    clusterScope: bool
    namespaces: list[str] | None
    resources: list[str] | None
    verbs: list[str] | None


class ResourcePool(TypedDict, total=False):
    generation: int
    name: str
    resourceSliceCount: int


class ResourceQuota(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ResourceQuotaSpec
    status: ResourceQuotaStatus


class ResourceQuotaList(TypedDict, total=False):
    apiVersion: str
    items: list[ResourceQuota]
    kind: str
    metadata: ListMeta


class ResourceQuotaSpec(TypedDict, total=False):
    hard: dict[str, str | int | float]
    scopeSelector: ScopeSelector
    scopes: list[str]


class ResourceQuotaStatus(TypedDict, total=False):
    hard: dict[str, str | int | float]
    used: dict[str, str | int | float]


class ResourceRequirements(TypedDict, total=False):
    claims: list[ResourceClaim]
    limits: dict[str, str | int | float]
    requests: dict[str, str | int | float]


class ResourceRule(TypedDict, total=False):
    apiGroups: list[str]
    resourceNames: list[str]
    resources: list[str]
    verbs: list[str] | None


class ResourceSlice(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ResourceSliceSpec


class ResourceSliceList(TypedDict, total=False):
    apiVersion: str
    items: list[ResourceSlice]
    kind: str
    metadata: ListMeta


class ResourceSliceSpec(TypedDict, total=False):
    allNodes: bool
    devices: list[Device]
    driver: str
    nodeName: str
    nodeSelector: NodeSelector
    partitionTypeAttribute: str
    perDeviceNodeSelection: bool
    pool: ResourcePool
    sharedCounters: list[CounterSet]
    skipNodeOperations: list[str]


class ResourceStatus(TypedDict, total=False):
    name: str
    resources: list[ResourceHealth]


class ResourceV1ResourceClaim(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ResourceClaimSpec
    status: ResourceClaimStatus


class Role(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    rules: list[PolicyRule] | None


class RoleBinding(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    roleRef: RoleRef
    subjects: list[RbacV1Subject]


class RoleBindingList(TypedDict, total=False):
    apiVersion: str
    items: list[RoleBinding]
    kind: str
    metadata: ListMeta


class RoleList(TypedDict, total=False):
    apiVersion: str
    items: list[Role]
    kind: str
    metadata: ListMeta


class RoleRef(TypedDict, total=False):
    apiGroup: str
    kind: str
    name: str


class RollingUpdateDaemonSet(TypedDict, total=False):
    maxSurge: int | str
    maxUnavailable: int | str


class RollingUpdateDeployment(TypedDict, total=False):
    maxSurge: int | str
    maxUnavailable: int | str


class RollingUpdateStatefulSetStrategy(TypedDict, total=False):
    maxUnavailable: int | str
    partition: int


class RuleWithOperations(TypedDict, total=False):
    apiGroups: list[str]
    apiVersions: list[str]
    operations: list[str]
    resources: list[str]
    scope: str


class RuntimeClass(TypedDict, total=False):
    apiVersion: str
    handler: str
    kind: str
    metadata: ObjectMeta
    overhead: Overhead
    scheduling: Scheduling


class RuntimeClassList(TypedDict, total=False):
    apiVersion: str
    items: list[RuntimeClass]
    kind: str
    metadata: ListMeta


class SELinuxOptions(TypedDict, total=False):
    level: str
    role: str
    type: str
    user: str


class Scale(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ScaleSpec
    status: ScaleStatus


class ScaleIOPersistentVolumeSource(TypedDict, total=False):
    fsType: str
    gateway: str
    protectionDomain: str
    readOnly: bool
    secretRef: SecretReference | None
    sslEnabled: bool
    storageMode: str
    storagePool: str
    system: str
    volumeName: str


class ScaleIOVolumeSource(TypedDict, total=False):
    fsType: str
    gateway: str
    protectionDomain: str
    readOnly: bool
    secretRef: LocalObjectReference | None
    sslEnabled: bool
    storageMode: str
    storagePool: str
    system: str
    volumeName: str


class ScaleSpec(TypedDict, total=False):
    replicas: int


class ScaleStatus(TypedDict, total=False):
    replicas: int
    selector: str


class Scheduling(TypedDict, total=False):
    nodeSelector: dict[str, str]
    tolerations: list[Toleration]


class ScopeSelector(TypedDict, total=False):
    matchExpressions: list[ScopedResourceSelectorRequirement]


class ScopedResourceSelectorRequirement(TypedDict, total=False):
    operator: str
    scopeName: str
    values: list[str]


class SeccompProfile(TypedDict, total=False):
    localhostProfile: str
    type: str


class Secret(TypedDict, total=False):
    apiVersion: str
    data: dict[str, str]
    immutable: bool
    kind: str
    metadata: ObjectMeta
    stringData: dict[str, str]
    type: str


class SecretEnvSource(TypedDict, total=False):
    name: str
    optional: bool


class SecretKeySelector(TypedDict, total=False):
    key: str
    name: str
    optional: bool


class SecretList(TypedDict, total=False):
    apiVersion: str
    items: list[Secret]
    kind: str
    metadata: ListMeta


class SecretProjection(TypedDict, total=False):
    items: list[KeyToPath]
    name: str
    optional: bool


class SecretReference(TypedDict, total=False):
    name: str
    namespace: str


class SecretVolumeSource(TypedDict, total=False):
    defaultMode: int
    defaultUser: int
    items: list[KeyToPath]
    optional: bool
    secretName: str


class SecurityContext(TypedDict, total=False):
    allowPrivilegeEscalation: bool
    appArmorProfile: AppArmorProfile
    capabilities: Capabilities
    privileged: bool
    procMount: str
    readOnlyRootFilesystem: bool
    runAsGroup: int
    runAsNonRoot: bool
    runAsUser: int
    seLinuxOptions: SELinuxOptions
    seccompProfile: SeccompProfile
    windowsOptions: WindowsSecurityContextOptions


class SelectableField(TypedDict, total=False):
    jsonPath: str


class SelfSubjectAccessReview(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: SelfSubjectAccessReviewSpec
    status: SubjectAccessReviewStatus


class SelfSubjectAccessReviewSpec(TypedDict, total=False):
    nonResourceAttributes: NonResourceAttributes
    resourceAttributes: ResourceAttributes


class SelfSubjectReview(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    status: SelfSubjectReviewStatus


class SelfSubjectReviewStatus(TypedDict, total=False):
    userInfo: UserInfo


class SelfSubjectRulesReview(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: SelfSubjectRulesReviewSpec
    status: SubjectRulesReviewStatus


class SelfSubjectRulesReviewSpec(TypedDict, total=False):
    namespace: str


class ServerAddressByClientCIDR(TypedDict, total=False):
    clientCIDR: str
    serverAddress: str


class Service(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ServiceSpec
    status: ServiceStatus


class ServiceAccount(TypedDict, total=False):
    apiVersion: str
    automountServiceAccountToken: bool
    imagePullSecrets: list[LocalObjectReference]
    kind: str
    metadata: ObjectMeta
    secrets: list[ObjectReference]


class ServiceAccountList(TypedDict, total=False):
    apiVersion: str
    items: list[ServiceAccount]
    kind: str
    metadata: ListMeta


class ServiceAccountSubject(TypedDict, total=False):
    name: str
    namespace: str


class ServiceAccountTokenProjection(TypedDict, total=False):
    audience: str
    expirationSeconds: int
    path: str
    user: int


class ServiceBackendPort(TypedDict, total=False):
    name: str
    number: int


class ServiceCIDR(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ServiceCIDRSpec
    status: ServiceCIDRStatus


class ServiceCIDRList(TypedDict, total=False):
    apiVersion: str
    items: list[ServiceCIDR]
    kind: str
    metadata: ListMeta


class ServiceCIDRSpec(TypedDict, total=False):
    cidrs: list[str]


class ServiceCIDRStatus(TypedDict, total=False):
    conditions: list[Condition]


class ServiceList(TypedDict, total=False):
    apiVersion: str
    items: list[Service]
    kind: str
    metadata: ListMeta


class ServicePort(TypedDict, total=False):
    appProtocol: str
    name: str
    nodePort: int
    port: int
    protocol: str
    targetPort: int | str


class ServiceReference(TypedDict, total=False):
    name: str
    namespace: str
    path: str
    port: int


class ServiceSpec(TypedDict, total=False):
    allocateLoadBalancerNodePorts: bool
    clusterIP: str
    clusterIPs: list[str]
    externalIPs: list[str]
    externalName: str
    externalTrafficPolicy: str
    healthCheckNodePort: int
    internalTrafficPolicy: str
    ipFamilies: list[str]
    ipFamilyPolicy: str
    loadBalancerClass: str
    loadBalancerIP: str
    loadBalancerSourceRanges: list[str]
    ports: list[ServicePort]
    publishNotReadyAddresses: bool
    selector: dict[str, str]
    sessionAffinity: str
    sessionAffinityConfig: SessionAffinityConfig
    trafficDistribution: str
    type: str


class ServiceStatus(TypedDict, total=False):
    conditions: list[Condition]
    loadBalancer: LoadBalancerStatus


class SessionAffinityConfig(TypedDict, total=False):
    clientIP: ClientIPConfig


class ShardInfo(TypedDict, total=False):
    selector: str


class SleepAction(TypedDict, total=False):
    seconds: int


class StatefulSet(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: StatefulSetSpec
    status: StatefulSetStatus


class StatefulSetCondition(TypedDict, total=False):
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    type: str


class StatefulSetList(TypedDict, total=False):
    apiVersion: str
    items: list[StatefulSet]
    kind: str
    metadata: ListMeta


class StatefulSetOrdinals(TypedDict, total=False):
    start: int


class StatefulSetPersistentVolumeClaimRetentionPolicy(TypedDict, total=False):
    whenDeleted: str
    whenScaled: str


class StatefulSetSpec(TypedDict, total=False):
    minReadySeconds: int
    ordinals: StatefulSetOrdinals
    persistentVolumeClaimRetentionPolicy: StatefulSetPersistentVolumeClaimRetentionPolicy
    podManagementPolicy: str
    replicas: int
    revisionHistoryLimit: int
    selector: LabelSelector | None
    serviceName: str
    template: PodTemplateSpec
    updateStrategy: StatefulSetUpdateStrategy
    volumeClaimTemplates: list[PersistentVolumeClaim]


class StatefulSetStatus(TypedDict, total=False):
    availableReplicas: int
    collisionCount: int
    conditions: list[StatefulSetCondition]
    currentReplicas: int
    currentRevision: str
    observedGeneration: int
    readyReplicas: int
    replicas: int
    updateRevision: str
    updatedReplicas: int


class StatefulSetUpdateStrategy(TypedDict, total=False):
    rollingUpdate: RollingUpdateStatefulSetStrategy
    type: str


class Status(TypedDict, total=False):
    apiVersion: str
    code: int
    details: StatusDetails
    kind: str
    message: str
    metadata: ListMeta
    reason: str
    status: str


class StatusCause(TypedDict, total=False):
    field: str
    message: str
    reason: str


class StatusDetails(TypedDict, total=False):
    causes: list[StatusCause]
    group: str
    kind: str
    name: str
    retryAfterSeconds: int
    uid: str


class StorageClass(TypedDict, total=False):
    allowVolumeExpansion: bool
    allowedTopologies: list[TopologySelectorTerm]
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    mountOptions: list[str]
    parameters: dict[str, str]
    provisioner: str
    reclaimPolicy: str
    volumeBindingMode: str


class StorageClassList(TypedDict, total=False):
    apiVersion: str
    items: list[StorageClass]
    kind: str
    metadata: ListMeta


class StorageHealth(TypedDict, total=False):
    healthConditions: list[StorageHealthCondition]
    name: str


class StorageHealthCondition(TypedDict, total=False):
    accessMode: str
    lastTransitionTime: str | None
    message: str
    reason: str
    status: str
    volumeMode: str


class StorageOSPersistentVolumeSource(TypedDict, total=False):
    fsType: str
    readOnly: bool
    secretRef: ObjectReference
    volumeName: str
    volumeNamespace: str


class StorageOSVolumeSource(TypedDict, total=False):
    fsType: str
    readOnly: bool
    secretRef: LocalObjectReference
    volumeName: str
    volumeNamespace: str


class StorageV1TokenRequest(TypedDict, total=False):
    audience: str
    expirationSeconds: int


class StorageVersionMigration(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: StorageVersionMigrationSpec
    status: StorageVersionMigrationStatus


class StorageVersionMigrationList(TypedDict, total=False):
    apiVersion: str
    items: list[StorageVersionMigration]
    kind: str
    metadata: ListMeta


class StorageVersionMigrationSpec(TypedDict, total=False):
    resource: GroupResource


class StorageVersionMigrationStatus(TypedDict, total=False):
    conditions: list[Condition]
    resourceVersion: str


class Subject(TypedDict, total=False):
    group: GroupSubject
    kind: str
    serviceAccount: ServiceAccountSubject
    user: UserSubject


class SubjectAccessReview(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: SubjectAccessReviewSpec
    status: SubjectAccessReviewStatus


class SubjectAccessReviewSpec(TypedDict, total=False):
    extra: dict[str, list[str]]
    groups: list[str]
    nonResourceAttributes: NonResourceAttributes
    resourceAttributes: ResourceAttributes
    uid: str
    user: str


class SubjectAccessReviewStatus(TypedDict, total=False):
    allowed: bool
    denied: bool
    evaluationError: str
    reason: str


class SubjectRulesReviewStatus(TypedDict, total=False):
    evaluationError: str
    incomplete: bool
    nonResourceRules: list[NonResourceRule] | None
    resourceRules: list[ResourceRule] | None


class SuccessPolicy(TypedDict, total=False):
    rules: list[SuccessPolicyRule] | None


class SuccessPolicyRule(TypedDict, total=False):
    succeededCount: int
    succeededIndexes: str


class Sysctl(TypedDict, total=False):
    name: str
    value: str


class TCPSocketAction(TypedDict, total=False):
    host: str
    port: int | str


class Taint(TypedDict, total=False):
    effect: str
    key: str
    timeAdded: str
    value: str


class TokenRequest(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: TokenRequestSpec
    status: TokenRequestStatus


class TokenRequestSpec(TypedDict, total=False):
    attestations: dict[str, list[str]]
    audiences: list[str] | None
    boundObjectRef: BoundObjectReference | None
    expirationSeconds: int | None


class TokenRequestStatus(TypedDict, total=False):
    expirationTimestamp: str | None
    token: str


class TokenReview(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: TokenReviewSpec
    status: TokenReviewStatus


class TokenReviewSpec(TypedDict, total=False):
    audiences: list[str]
    token: str


class TokenReviewStatus(TypedDict, total=False):
    audiences: list[str]
    authenticated: bool
    error: str
    user: UserInfo


class Toleration(TypedDict, total=False):
    effect: str
    key: str
    operator: str
    tolerationSeconds: int
    value: str


class TopologyConstraint(TypedDict, total=False):
    key: str


class TopologySelectorLabelRequirement(TypedDict, total=False):
    key: str
    values: list[str] | None


class TopologySelectorTerm(TypedDict, total=False):
    matchLabelExpressions: list[TopologySelectorLabelRequirement]


class TopologySpreadConstraint(TypedDict, total=False):
    labelSelector: LabelSelector
    matchLabelKeys: list[str]
    maxSkew: int
    minDomains: int
    nodeAffinityPolicy: str
    nodeTaintsPolicy: str
    topologyKey: str
    whenUnsatisfiable: str


class TypeChecking(TypedDict, total=False):
    expressionWarnings: list[ExpressionWarning]


class TypedLocalObjectReference(TypedDict, total=False):
    apiGroup: str | None
    kind: str
    name: str


class TypedObjectReference(TypedDict, total=False):
    apiGroup: str | None
    kind: str
    name: str
    namespace: str


class UncountedTerminatedPods(TypedDict, total=False):
    failed: list[str]
    succeeded: list[str]


class UserInfo(TypedDict, total=False):
    extra: dict[str, list[str]]
    groups: list[str]
    uid: str
    username: str


class UserSubject(TypedDict, total=False):
    name: str


class ValidatingAdmissionPolicy(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ValidatingAdmissionPolicySpec
    status: ValidatingAdmissionPolicyStatus


class ValidatingAdmissionPolicyBinding(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: ValidatingAdmissionPolicyBindingSpec


class ValidatingAdmissionPolicyBindingList(TypedDict, total=False):
    apiVersion: str
    items: list[ValidatingAdmissionPolicyBinding]
    kind: str
    metadata: ListMeta


class ValidatingAdmissionPolicyBindingSpec(TypedDict, total=False):
    matchResources: MatchResources
    paramRef: ParamRef
    policyName: str
    validationActions: list[str]


class ValidatingAdmissionPolicyList(TypedDict, total=False):
    apiVersion: str
    items: list[ValidatingAdmissionPolicy]
    kind: str
    metadata: ListMeta


class ValidatingAdmissionPolicySpec(TypedDict, total=False):
    auditAnnotations: list[AuditAnnotation]
    failurePolicy: str
    matchConditions: list[MatchCondition]
    matchConstraints: MatchResources
    paramKind: ParamKind
    validations: list[Validation]
    variables: list[Variable]


class ValidatingAdmissionPolicyStatus(TypedDict, total=False):
    conditions: list[Condition]
    observedGeneration: int
    typeChecking: TypeChecking


class ValidatingWebhook(TypedDict, total=False):
    admissionReviewVersions: list[str] | None
    clientConfig: WebhookClientConfig
    failurePolicy: str
    matchConditions: list[MatchCondition]
    matchPolicy: str
    name: str
    namespaceSelector: LabelSelector
    objectSelector: LabelSelector
    rules: list[RuleWithOperations]
    sideEffects: str | None
    timeoutSeconds: int


class ValidatingWebhookConfiguration(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    webhooks: list[ValidatingWebhook]


class ValidatingWebhookConfigurationList(TypedDict, total=False):
    apiVersion: str
    items: list[ValidatingWebhookConfiguration]
    kind: str
    metadata: ListMeta


class Validation(TypedDict, total=False):
    expression: str
    message: str
    messageExpression: str
    reason: str


class ValidationRule(TypedDict, total=False):
    fieldPath: str
    message: str
    messageExpression: str
    optionalOldSelf: bool
    reason: str
    rule: str


class Variable(TypedDict, total=False):
    expression: str
    name: str


class Volume(TypedDict, total=False):
    awsElasticBlockStore: AWSElasticBlockStoreVolumeSource
    azureDisk: AzureDiskVolumeSource
    azureFile: AzureFileVolumeSource
    cephfs: CephFSVolumeSource
    cinder: CinderVolumeSource
    configMap: ConfigMapVolumeSource
    csi: CSIVolumeSource
    downwardAPI: DownwardAPIVolumeSource
    emptyDir: EmptyDirVolumeSource
    ephemeral: EphemeralVolumeSource
    fc: FCVolumeSource
    flexVolume: FlexVolumeSource
    flocker: FlockerVolumeSource
    gcePersistentDisk: GCEPersistentDiskVolumeSource
    gitRepo: GitRepoVolumeSource
    glusterfs: GlusterfsVolumeSource
    hostPath: HostPathVolumeSource
    image: ImageVolumeSource
    iscsi: ISCSIVolumeSource
    name: str
    nfs: NFSVolumeSource
    persistentVolumeClaim: PersistentVolumeClaimVolumeSource
    photonPersistentDisk: PhotonPersistentDiskVolumeSource
    portworxVolume: PortworxVolumeSource
    projected: ProjectedVolumeSource
    quobyte: QuobyteVolumeSource
    rbd: RBDVolumeSource
    scaleIO: ScaleIOVolumeSource
    secret: SecretVolumeSource
    storageos: StorageOSVolumeSource
    vsphereVolume: VsphereVirtualDiskVolumeSource


class VolumeAttachment(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: VolumeAttachmentSpec
    status: VolumeAttachmentStatus


class VolumeAttachmentList(TypedDict, total=False):
    apiVersion: str
    items: list[VolumeAttachment]
    kind: str
    metadata: ListMeta


class VolumeAttachmentSource(TypedDict, total=False):
    inlineVolumeSpec: PersistentVolumeSpec
    persistentVolumeName: str


class VolumeAttachmentSpec(TypedDict, total=False):
    attacher: str
    nodeName: str
    source: VolumeAttachmentSource


class VolumeAttachmentStatus(TypedDict, total=False):
    attachError: VolumeError
    attached: bool
    attachmentMetadata: dict[str, str]
    detachError: VolumeError


class VolumeAttributesClass(TypedDict, total=False):
    apiVersion: str
    driverName: str
    kind: str
    metadata: ObjectMeta
    parameters: dict[str, str]


class VolumeAttributesClassList(TypedDict, total=False):
    apiVersion: str
    items: list[VolumeAttributesClass]
    kind: str
    metadata: ListMeta


class VolumeDevice(TypedDict, total=False):
    devicePath: str
    name: str


class VolumeError(TypedDict, total=False):
    errorCode: int
    message: str
    time: str | None


class VolumeHealthCondition(TypedDict, total=False):
    message: str
    reason: str
    status: str


class VolumeHealthStatus(TypedDict, total=False):
    healthConditions: list[VolumeHealthCondition]
    lastTransitionTime: str | None


class VolumeMount(TypedDict, total=False):
    bindMountOptions: list[str]
    mountPath: str
    mountPropagation: str
    name: str
    readOnly: bool
    recursiveReadOnly: str
    subPath: str
    subPathExpr: str


class VolumeMountStatus(TypedDict, total=False):
    mountPath: str
    name: str
    readOnly: bool
    recursiveReadOnly: str
    volumeStatus: VolumeStatus


class VolumeNodeAffinity(TypedDict, total=False):
    required: NodeSelector


class VolumeNodeResources(TypedDict, total=False):
    count: int


class VolumeProjection(TypedDict, total=False):
    clusterTrustBundle: ClusterTrustBundleProjection
    configMap: ConfigMapProjection
    downwardAPI: DownwardAPIProjection
    podCertificate: PodCertificateProjection
    secret: SecretProjection
    serviceAccountToken: ServiceAccountTokenProjection


class VolumeResourceRequirements(TypedDict, total=False):
    limits: dict[str, str | int | float]
    requests: dict[str, str | int | float]


class VolumeStatus(TypedDict, total=False):
    image: ImageVolumeStatus


class VsphereVirtualDiskVolumeSource(TypedDict, total=False):
    fsType: str
    storagePolicyID: str
    storagePolicyName: str
    volumePath: str


class WatchEvent(TypedDict, total=False):
    object: Any
    type: str


class WebhookClientConfig(TypedDict, total=False):
    caBundle: str
    service: ServiceReference
    url: str


class WebhookConversion(TypedDict, total=False):
    clientConfig: ApiextensionsV1WebhookClientConfig
    conversionReviewVersions: list[str] | None


class WeightedPodAffinityTerm(TypedDict, total=False):
    podAffinityTerm: PodAffinityTerm
    weight: int


class WindowsSecurityContextOptions(TypedDict, total=False):
    gmsaCredentialSpec: str
    gmsaCredentialSpecName: str
    hostProcess: bool
    runAsUserName: str


class WorkloadPodGroupAllDisruptionMode(TypedDict, total=False):
    pass


class WorkloadPodGroupBasicSchedulingPolicy(TypedDict, total=False):
    pass


class WorkloadPodGroupDisruptionMode(TypedDict, total=False):
    all: WorkloadPodGroupAllDisruptionMode
    single: WorkloadPodGroupSingleDisruptionMode


class WorkloadPodGroupGangSchedulingPolicy(TypedDict, total=False):
    minCount: int


class WorkloadPodGroupResourceClaim(TypedDict, total=False):
    name: str
    resourceClaimName: str
    resourceClaimTemplateName: str


class WorkloadPodGroupSchedulingConstraints(TypedDict, total=False):
    topology: list[TopologyConstraint]


class WorkloadPodGroupSchedulingPolicy(TypedDict, total=False):
    basic: WorkloadPodGroupBasicSchedulingPolicy
    gang: WorkloadPodGroupGangSchedulingPolicy


class WorkloadPodGroupSingleDisruptionMode(TypedDict, total=False):
    pass
