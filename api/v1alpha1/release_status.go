package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The bounds of a Release's status; the agent cuts what is longer.
const (
	MaxMessage = 4096
	MaxLog     = 16 << 10
	MaxEvents  = 10
	MaxEvent   = 1024

	MaxDriftFields = 9
	MaxDriftField  = 512
	MaxDriftBy     = 256
)

// ReleaseStatus is how a release goes. Only the agent writes it.
type ReleaseStatus struct {
	// phase is how far the release has come; absent means Pending.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Provisioning;Predeploying;Seeding;Applying;RollingOut;Restoring;Succeeded;Failed;RolledBack;Superseded
	Phase string `json:"phase,omitempty"`
	// message is one line for people.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// cause is why the release failed, if it did.
	// +optional
	Cause *Cause `json:"cause,omitempty"`
	// supersededBy is the commit of the release that took this one's place.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SupersededBy string `json:"supersededBy,omitempty"`
	// restoredTo is the release whose objects are back after a failure.
	// +optional
	RestoredTo int `json:"restoredTo,omitempty"`
	// timeline has the moments of the release, in order.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=step
	Timeline []Moment `json:"timeline,omitempty"`
	// services show how far each service has come.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=name
	Services []ServiceStatus `json:"services,omitempty"`
	// reported is what each way out of the cluster shows of the release.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=way
	Reported []Reported `json:"reported,omitempty"`
	// reportedOn is the head commit of the pull request, if the release is reported
	// there instead of on its source's commit.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ReportedOn string `json:"reportedOn,omitempty"`
	// predeployLog has the last lines of a predeploy that ended well, redacted.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	PredeployLog string `json:"predeployLog,omitempty"`
	// seedLog has the last lines of a seed that ended well, redacted.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	SeedLog string `json:"seedLog,omitempty"`
	// drift is what others have changed or deleted of the release's objects while
	// it served, newest last.
	// +optional
	// +kubebuilder:validation:MaxItems=40
	// +listType=atomic
	Drift []Drift `json:"drift,omitempty"`
	// inventory lists the objects that the release made.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +listType=atomic
	Inventory []ObjectReference `json:"inventory,omitempty"`
}

// Cause is why a release failed.
type Cause struct {
	// kind names the cause, such as ImagePull or Crash.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Kind string `json:"kind"`
	// service is the service that failed.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service,omitempty"`
	// setting is the one of inhaul.yaml that may be at fault.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	Setting string `json:"setting,omitempty"`
	// pod is the pod that showed it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// container is the container that showed it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Container string `json:"container,omitempty"`
	// exitCode is that of the container's last end.
	// +optional
	ExitCode int `json:"exitCode,omitempty"`
	// message is what happened.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// next is what to do about it.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Next string `json:"next,omitempty"`
	// log has the last lines of the container, redacted.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Log string `json:"log,omitempty"`
	// events are the cluster's events of the pod, newest last.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=1024
	// +listType=atomic
	Events []string `json:"events,omitempty"`
}

// Moment is when a step was reached.
type Moment struct {
	// step names the moment.
	// +kubebuilder:validation:MaxLength=64
	Step string `json:"step"`
	// at is when it was reached.
	At metav1.MicroTime `json:"at"`
}

// ServiceStatus is how far one service has come.
type ServiceStatus struct {
	// name is the service's name.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// desired is how many pods are asked for.
	Desired int `json:"desired"`
	// ready is how many new pods are Ready.
	Ready int `json:"ready"`
	// restarts counts the restarts of the new pods.
	// +optional
	Restarts int `json:"restarts,omitempty"`
}

// Reported is what one way out of the cluster shows of the release.
type Reported struct {
	// way is check, deployment, comment, status or receipt.
	// +kubebuilder:validation:MaxLength=64
	Way string `json:"way"`
	// phase is the phase that it shows: one of a release's, or Waiting while its
	// rollout waits out of the ordinary, as for a node that an autoscaler adds.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Phase string `json:"phase,omitempty"`
	// ready is how many new pods it shows as ready, of a rollout that takes long.
	// +optional
	Ready int `json:"ready,omitempty"`
	// id is GitHub's number of the check run, the deployment or the comment; of
	// receipts it is the number of the last one.
	// +optional
	ID int64 `json:"id,omitempty"`
}

// Drift is what somebody else has done to an object of the release, and what was
// done about it.
type Drift struct {
	// object is what was changed or deleted.
	Object ObjectReference `json:"object"`
	// fields are those that were not as the release has them.
	// +optional
	// +kubebuilder:validation:MaxItems=9
	// +kubebuilder:validation:items:MaxLength=512
	// +listType=atomic
	Fields []string `json:"fields,omitempty"`
	// by are the field managers that have changed them, where the API server
	// tells; it does not of what was deleted.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// action is what was done: Reverted, Reported or GivenUp.
	// +kubebuilder:validation:Enum=Reverted;Reported;GivenUp
	Action string `json:"action"`
	// at is when it was found last.
	At metav1.MicroTime `json:"at"`
	// since is when it was found first within ten minutes.
	Since metav1.MicroTime `json:"since"`
	// times is how often it was found since then.
	Times int `json:"times"`
	// until is when a drift that was given up is looked at again.
	// +optional
	Until *metav1.MicroTime `json:"until,omitempty"`
	// refused is why the object cannot be put back.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Refused string `json:"refused,omitempty"`
}

// ObjectReference names one Kubernetes object of a release.
type ObjectReference struct {
	// apiVersion is the object's group and version.
	// +kubebuilder:validation:MaxLength=253
	APIVersion string `json:"apiVersion"`
	// kind is the object's kind.
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// namespace is the object's namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// name is the object's name.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// mark stands for the fields that the release has written; another one tells
	// that somebody else has touched them.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Mark string `json:"mark,omitempty"`
}
