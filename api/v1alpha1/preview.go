package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The bounds of a Preview's lists.
const (
	MaxDecided  = 200
	MaxDestroys = 10
	MaxRemains  = 200
)

// AnnotationWake is how somebody asks for a preview to be awake: on its Preview, the
// time of the asking in RFC 3339. See deploy/preview-wake.yaml for who may.
const AnnotationWake = "inhaul.dev/wake"

// Preview is the record of the environment of one pull request of an app. It is named
// APP-pr-NUMBER and lives in the agent's namespace, so that it outlives the preview's
// own. The agent alone writes it, spec and status in one; others ask by it for the
// preview to be awake, with an annotation, and for nothing else.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=previews,singular=preview,categories=inhaul
// +kubebuilder:printcolumn:name="App",type=string,JSONPath=`.spec.app`
// +kubebuilder:printcolumn:name="Pull request",type=integer,JSONPath=`.spec.pullRequest`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Asleep",type=date,JSONPath=`.status.asleepAt`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.status.namespace`
// +kubebuilder:printcolumn:name="Created",type=date,JSONPath=`.status.createdAt`
// +kubebuilder:printcolumn:name="Last push",type=date,JSONPath=`.status.lastPushAt`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Repository",type=string,JSONPath=`.status.repository`,priority=1
type Preview struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which pull request it is. It never changes.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a preview never changes its pull request"
	Spec PreviewSpec `json:"spec"`
	// status is what there is of the preview, and what is yet to be told of it.
	// +optional
	Status PreviewStatus `json:"status,omitempty"`
}

// PreviewList is a list of Preview.
//
// +kubebuilder:object:root=true
type PreviewList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Preview `json:"items"`
}

// PreviewSpec says which pull request of which app it is.
type PreviewSpec struct {
	// app is the name of the app.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	App string `json:"app"`
	// pullRequest is the number of the pull request.
	// +kubebuilder:validation:Minimum=1
	PullRequest int `json:"pullRequest"`
}

// PreviewStatus is what there is of a preview.
type PreviewStatus struct {
	// phase is Active, Destroying while its namespace is being deleted, Waiting for room
	// without anything that runs, or Destroyed.
	// What is Destroyed becomes Active again when the pull request is opened again.
	// +optional
	// +kubebuilder:validation:Enum=Active;Destroying;Waiting;Destroyed
	Phase string `json:"phase,omitempty"`
	// message is one line for people: what it waits for.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// namespace is where it runs, or ran.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// group is that of the apps which share the namespace. Absent: it is the app's alone.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Group string `json:"group,omitempty"`
	// owner is the UID of the Preview that the namespace was made for, which is that of
	// the app of the group that came first. Absent: this one, or none yet.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Owner string `json:"owner,omitempty"`
	// repository is the repository's name, "owner/name".
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Repository string `json:"repository,omitempty"`
	// repositoryID is GitHub's number of the repository.
	// +optional
	RepositoryID int64 `json:"repositoryID,omitempty"`
	// createdAt is when it was made, or made anew.
	// +optional
	CreatedAt *metav1.MicroTime `json:"createdAt,omitempty"`
	// lastPushAt is when the newest event happened that was deployed.
	// +optional
	LastPushAt *metav1.MicroTime `json:"lastPushAt,omitempty"`
	// destroyedAt is when the last of it was gone.
	// +optional
	DestroyedAt *metav1.MicroTime `json:"destroyedAt,omitempty"`
	// fork is true if it runs code that comes from a fork; see previews.forks of the App.
	// +optional
	Fork bool `json:"fork,omitempty"`
	// asleepAt is when it was scaled to zero. Absent: it is awake.
	// +optional
	AsleepAt *metav1.MicroTime `json:"asleepAt,omitempty"`
	// turning is true while its objects are being brought in step with asleepAt.
	// +optional
	Turning bool `json:"turning,omitempty"`
	// activeAt is when it was woken last. It sleeps after the last of that, of its
	// pushes, of its deploys, and of what the annotation inhaul.dev/wake says.
	// +optional
	ActiveAt *metav1.MicroTime `json:"activeAt,omitempty"`
	// labels are those of the pull request that mean something here, as last seen.
	// +optional
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=50
	// +listType=atomic
	Labels []string `json:"labels,omitempty"`
	// lookedAt is when GitHub last told whether the pull request is open.
	// +optional
	LookedAt *metav1.MicroTime `json:"lookedAt,omitempty"`
	// seededAt is when its seed command had ended well. It never runs again.
	// +optional
	SeededAt *metav1.MicroTime `json:"seededAt,omitempty"`
	// tornDownAt is when its teardown command had ended, or was given up.
	// +optional
	TornDownAt *metav1.MicroTime `json:"tornDownAt,omitempty"`
	// waiting is what is deployed as soon as there is room for it.
	// +optional
	Waiting *Waiting `json:"waiting,omitempty"`
	// marks are the high-water marks of ordering. They keep a late intent from making
	// again what was destroyed.
	// +optional
	Marks LineMarks `json:"marks,omitzero"`
	// decided are admitted intents of which no release tells any more, newest last.
	// +optional
	// +kubebuilder:validation:MaxItems=200
	// +listType=atomic
	Decided []Decided `json:"decided,omitempty"`
	// destroys are the newest admitted intents to take it away, newest last.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Destroys []Destroy `json:"destroys,omitempty"`
	// remains are the releases that went with the namespace and of which something is
	// yet to be told.
	// +optional
	// +kubebuilder:validation:MaxItems=200
	// +listType=atomic
	Remains []Remains `json:"remains,omitempty"`
	// comment is GitHub's number of the pull request's comment.
	// +optional
	Comment int64 `json:"comment,omitempty"`
}

// Waiting is an admitted release of a preview for which there is no room.
type Waiting struct {
	// since is when it had to wait.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`
	// evicted is true if it ran before, and made room for another one.
	// +optional
	Evicted bool `json:"evicted,omitempty"`
	// release is what is to be deployed; its number is given when it is.
	Release ReleaseSpec `json:"release"`
	// reported is what each way out of the cluster shows of it.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=way
	Reported []Reported `json:"reported,omitempty"`
	// reportedOn is the commit that it is reported on.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ReportedOn string `json:"reportedOn,omitempty"`
}

// Decided is an intent that was admitted.
type Decided struct {
	// intent is its digest.
	// +kubebuilder:validation:MaxLength=128
	Intent string `json:"intent"`
	// issuedAt is when it was signed.
	// +optional
	IssuedAt *metav1.MicroTime `json:"issuedAt,omitempty"`
}

// Destroy is one admitted intent to take a preview away, or the agent's own decision.
type Destroy struct {
	// reason is why, if nobody asked for it: Closed, Unwanted (by its label), Gone (the repository), Idle, Expired,
	// or Room. Absent: an intent asked for it.
	// +optional
	// +kubebuilder:validation:Enum=Closed;Unwanted;Gone;Idle;Expired;Room
	Reason string `json:"reason,omitempty"`
	// intent is its digest. Without one it is a name that no intent has.
	// +kubebuilder:validation:MaxLength=128
	Intent string `json:"intent"`
	// rule names the App's rule that allowed it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Rule string `json:"rule,omitempty"`
	// source is the workflow run that asked.
	Source Source `json:"source"`
	// issuedAt is when the intent was signed.
	// +optional
	IssuedAt *metav1.MicroTime `json:"issuedAt,omitempty"`
	// evidence is how the intent was verified.
	// +optional
	Evidence Evidence `json:"evidence,omitzero"`
	// admittedAt is when it was admitted.
	// +optional
	AdmittedAt *metav1.MicroTime `json:"admittedAt,omitempty"`
	// doneAt is when everything was gone.
	// +optional
	DoneAt *metav1.MicroTime `json:"doneAt,omitempty"`
	// nothing is true if there was nothing to take away.
	// +optional
	Nothing bool `json:"nothing,omitempty"`
	// teardown is why the teardown command did not end well. Absent: it did, or there was
	// none.
	// +optional
	Teardown *Cause `json:"teardown,omitempty"`
	// kept is true if the namespace was not marked as the preview's any more, and was
	// left alone.
	// +optional
	Kept bool `json:"kept,omitempty"`
	// reported is what each way out of the cluster shows of it.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=way
	Reported []Reported `json:"reported,omitempty"`
	// reportedOn is the commit that it is reported on: the head of the pull request, if GitHub says so.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ReportedOn string `json:"reportedOn,omitempty"`
}

// Remains is what has to be told of a release whose record is gone.
type Remains struct {
	// number is that of the release.
	Number int `json:"number"`
	// intent is the digest of its intent.
	// +kubebuilder:validation:MaxLength=128
	Intent string `json:"intent"`
	// kind is what was asked for.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Kind string `json:"kind,omitempty"`
	// commit is the commit whose code ran, of a release that brought back another.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
	// rule names the App's rule that allowed it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Rule string `json:"rule,omitempty"`
	// image is the image that ran, by digest.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`
	// source is the workflow run that asked.
	Source Source `json:"source"`
	// issuedAt is when the intent was signed.
	// +optional
	IssuedAt *metav1.MicroTime `json:"issuedAt,omitempty"`
	// scheme is the way it was signed.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Scheme string `json:"scheme,omitempty"`
	// message is what is told, in one line.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// timeline has its moments, in order.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	Timeline []Moment `json:"timeline,omitempty"`
	// reported is what each way out of the cluster shows of it.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=way
	Reported []Reported `json:"reported,omitempty"`
	// reportedOn is the commit that it is reported on: the head of the pull request, if GitHub says so.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ReportedOn string `json:"reportedOn,omitempty"`
}
