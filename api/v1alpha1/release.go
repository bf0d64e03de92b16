package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Release is the durable record of one admitted intent: what was asked for,
// which never changes, and how it goes. It is named APP-NUMBER and lives in the
// namespace of its environment.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=releases,singular=release,shortName=rel,categories=inhaul
// +kubebuilder:printcolumn:name="Number",type=integer,JSONPath=`.spec.number`
// +kubebuilder:printcolumn:name="Commit",type=string,JSONPath=`.spec.shortCommit`
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.kind`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`,priority=1
// +kubebuilder:printcolumn:name="Actor",type=string,JSONPath=`.spec.source.actor`,priority=1
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`,priority=1
type Release struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what was asked for, by whom, and how that was verified. It never
	// changes.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a release never changes: deploy again, or roll back"
	Spec ReleaseSpec `json:"spec"`
	// status is how the release goes. A release without one is Pending.
	// +optional
	Status ReleaseStatus `json:"status,omitempty"`
}

// ReleaseList is a list of Release.
//
// +kubebuilder:object:root=true
type ReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Release `json:"items"`
}

// ReleaseSpec is what was asked for.
type ReleaseSpec struct {
	// app is the name of the app.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	App string `json:"app"`
	// environment is the name of the environment.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Environment string `json:"environment"`
	// number counts the releases of the app in the environment, from 1.
	// +kubebuilder:validation:Minimum=1
	Number int `json:"number"`
	// intent is the digest of the admitted intent; of a rollback that was asked for
	// in the cluster, one of the Rollback's UID.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Intent string `json:"intent"`
	// kind is what was asked for.
	// +kubebuilder:validation:Enum=deploy;rollback;destroy
	Kind string `json:"kind"`
	// reason is why ordering admitted the intent.
	// +optional
	// +kubebuilder:validation:Enum=Newest;Rollback;Redeploy;Forced
	Reason string `json:"reason,omitempty"`
	// restore is the number of the release that this one brings back.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Restore int `json:"restore,omitempty"`
	// commit is the commit whose code runs, of a release that brings back another.
	// Otherwise it is that of the source.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
	// note says more about how ordering came to the reason.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Note string `json:"note,omitempty"`
	// rule names the App's rule that allowed the intent.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Rule string `json:"rule,omitempty"`
	// image is the image that runs, by digest.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`
	// shortCommit is the beginning of the commit whose code runs, for people.
	// +optional
	// +kubebuilder:validation:MaxLength=7
	ShortCommit string `json:"shortCommit,omitempty"`
	// source is the workflow run that asked.
	Source Source `json:"source"`
	// definition is the app resolved for the environment, exactly as it was
	// signed: its keys are those of the intent's spec.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Definition runtime.RawExtension `json:"definition,omitzero"`
	// config says where the settings are written that the definition was made from.
	// +optional
	Config *Config `json:"config,omitempty"`
	// issuedAt is when the intent was signed.
	// +optional
	IssuedAt *metav1.MicroTime `json:"issuedAt,omitempty"`
	// evidence is how the intent was verified.
	// +optional
	Evidence Evidence `json:"evidence,omitzero"`
}

// Config says where the commit has the settings of an app.
type Config struct {
	// path is that of inhaul.yaml, from the root of the repository.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`
	// lines are those of the settings, by path, such as services.web.port.
	// +optional
	// +kubebuilder:validation:MaxProperties=200
	Lines map[string]int `json:"lines,omitempty"`
}

// Source is the workflow run that asked for a release.
type Source struct {
	// repository is the repository's name, "owner/name".
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Repository string `json:"repository,omitempty"`
	// repositoryID is GitHub's number of the repository.
	// +optional
	RepositoryID int64 `json:"repositoryID,omitempty"`
	// repositoryOwnerID is GitHub's number of the owner.
	// +optional
	RepositoryOwnerID int64 `json:"repositoryOwnerID,omitempty"`
	// ref is the full ref, "refs/heads/main".
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Ref string `json:"ref,omitempty"`
	// commit is the commit that was built.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
	// headCommit is the head of the pull request, if it was one.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	HeadCommit string `json:"headCommit,omitempty"`
	// event is the name of the event, "push".
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Event string `json:"event,omitempty"`
	// eventAt is when the event happened, by its payload.
	// +optional
	EventAt *metav1.MicroTime `json:"eventAt,omitempty"`
	// workflowRef names the workflow and its ref.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	WorkflowRef string `json:"workflowRef,omitempty"`
	// jobWorkflowRef names the reusable workflow, if the job was in one.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	JobWorkflowRef string `json:"jobWorkflowRef,omitempty"`
	// runID is GitHub's number of the workflow run.
	// +optional
	RunID int64 `json:"runID,omitempty"`
	// runNumber counts the runs of the workflow.
	// +optional
	RunNumber int64 `json:"runNumber,omitempty"`
	// runAttempt is 1 at first and grows with every re-run.
	// +optional
	RunAttempt int64 `json:"runAttempt,omitempty"`
	// actor started the first attempt.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Actor string `json:"actor,omitempty"`
	// triggeringActor started this attempt; recorded, never trusted.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	TriggeringActor string `json:"triggeringActor,omitempty"`
	// githubEnvironment is the GitHub environment of the job.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	GitHubEnvironment string `json:"githubEnvironment,omitempty"`
	// pullRequest is the number of the pull request, if it was one.
	// +optional
	PullRequest int `json:"pullRequest,omitempty"`
}

// Evidence is how an intent was verified.
type Evidence struct {
	// scheme is the way of signing.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Scheme string `json:"scheme,omitempty"`
	// keyID names the key that verified the signature.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	KeyID string `json:"keyID,omitempty"`
	// issuer is the issuer of the token.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Issuer string `json:"issuer,omitempty"`
	// tokenID is the token's own id: no token counts twice.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	TokenID string `json:"tokenID,omitempty"`
	// issuedAt is when the token was issued.
	// +optional
	IssuedAt *metav1.MicroTime `json:"issuedAt,omitempty"`
	// claims are the token's claims that policy looks at.
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	Claims map[string]string `json:"claims,omitempty"`
}
