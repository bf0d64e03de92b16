package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MaxRequester and MaxReason bound what a Rollback's author writes.
const (
	MaxRequester = 1024
	MaxReason    = 512
)

// Rollback asks for an older release of an app in one environment, from within
// the cluster. It lives in the namespace of the environment: who may create
// rollbacks there may roll back there. The agent answers in its status, once.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=rollbacks,singular=rollback,categories=inhaul
// +kubebuilder:printcolumn:name="App",type=string,JSONPath=`.spec.app`
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="To",type=string,JSONPath=`.spec.to`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Release",type=integer,JSONPath=`.status.release`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="By",type=string,JSONPath=`.spec.requestedBy`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`,priority=1
type Rollback struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for, and by whom. It never changes.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a rollback never changes: ask again"
	Spec RollbackSpec `json:"spec"`
	// status is the agent's answer. A rollback without one is Pending.
	// +optional
	Status RollbackStatus `json:"status,omitempty"`
}

// RollbackList is a list of Rollback.
//
// +kubebuilder:object:root=true
type RollbackList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Rollback `json:"items"`
}

// RollbackSpec is what is asked for.
type RollbackSpec struct {
	// app is the name of the app.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	App string `json:"app"`
	// environment is the name of the environment. Its namespace is this
	// object's.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Environment string `json:"environment"`
	// to says which release to bring back: "previous", its number, or its
	// commit.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	To string `json:"to"`
	// requestedBy is the name under which the API server knows the author. It
	// refuses every other one: see deploy/admission.yaml.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	RequestedBy string `json:"requestedBy"`
	// reason is why, for people.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`
}

// RollbackStatus is the agent's answer. Only the agent writes it.
type RollbackStatus struct {
	// phase is Admitted if there is a release of it, which has its own status;
	// Refused if there is and will be none; absent means Pending.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Admitted;Refused
	Phase string `json:"phase,omitempty"`
	// release is the number of the release that came of it.
	// +optional
	Release int `json:"release,omitempty"`
	// restore is the number of the release that is brought back.
	// +optional
	Restore int `json:"restore,omitempty"`
	// message is one line for people.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// finishedAt is when the agent answered.
	// +optional
	FinishedAt *metav1.MicroTime `json:"finishedAt,omitempty"`
}
