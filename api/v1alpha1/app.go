package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// App says what the platform owner allows for one app: where its intents are
// published, who may sign them, and which of them may deploy where. Its name
// is the app's name in every intent. It lives in the agent's namespace; nothing
// in the app's own repository can change it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=apps,singular=app,categories=inhaul
// +kubebuilder:printcolumn:name="Environments",type=string,JSONPath=`.status.summary`,description="Release that serves in each environment"
// +kubebuilder:printcolumn:name="Problem",type=string,JSONPath=`.status.problem`,description="What is wrong with the App itself"
// +kubebuilder:printcolumn:name="Intents",type=string,JSONPath=`.spec.intents`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40",message="the name of an app has lower-case letters, digits and dashes, begins with a letter, and is at most 40 long"
type App struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the platform owner's word.
	Spec AppSpec `json:"spec"`
	// status is what the agent remembers of the app beyond its releases.
	// +optional
	Status AppStatus `json:"status,omitempty"`
}

// AppList is a list of App.
//
// +kubebuilder:object:root=true
type AppList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []App `json:"items"`
}

// AppSpec is the platform owner's word on an app.
//
// +kubebuilder:validation:XValidation:rule="!has(self.previews) || self.environments.all(e, !e.name.matches('^pr-[1-9][0-9]*$'))",message="with previews, environments named pr-N are made from pull requests and cannot be declared"
type AppSpec struct {
	// intents is the repository where the app's intents are published, such as
	// "registry.example.com/acme/storefront-intents".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[^\s@]+$`
	Intents string `json:"intents"`
	// images are the repositories that the app's images may come from, without
	// tag or digest.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:Pattern=`^[^\s@]+$`
	// +listType=set
	Images []string `json:"images"`
	// signers are the accepted ways to sign an intent; one of them has to hold.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	Signers []Signer `json:"signers"`
	// rules say which intents are allowed. Deny by default: one rule has to
	// match the whole intent. Without rules nothing is deployed.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=name
	Rules []Rule `json:"rules,omitempty"`
	// environments are the places where the app may run, each in a namespace of
	// its own.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(e, self.exists_one(f, f.__namespace__ == e.__namespace__))",message="every environment of an app needs a namespace of its own"
	// +listType=map
	// +listMapKey=name
	Environments []Environment `json:"environments"`
	// previews are environments for pull requests: pr-N is made when pull request N
	// is deployed, and goes when it is closed. Rules name them "pr-*". Absent: there
	// are none.
	// +optional
	Previews *PreviewPolicy `json:"previews,omitempty"`
	// history is how many releases are kept per environment; a rollback by
	// number reaches as far back.
	// +optional
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=1000
	History int `json:"history,omitempty"`
}

// Signer is one accepted way to sign an intent: exactly one of issuer and
// publicKey is set.
//
// +kubebuilder:validation:XValidation:rule="has(self.issuer) != has(self.publicKey)",message="exactly one of issuer and publicKey is needed"
type Signer struct {
	// issuer is the OIDC issuer whose tokens sign intents, such as
	// "https://token.actions.githubusercontent.com".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[^\s]+$`
	Issuer string `json:"issuer,omitempty"`
	// publicKey is a pinned key in PEM: ed25519 or ECDSA on P-256, as
	// SubjectPublicKeyInfo.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^-----BEGIN PUBLIC KEY-----`
	PublicKey string `json:"publicKey,omitempty"`
}

// Environment is one place where an app runs.
type Environment struct {
	// name is the environment's name in every intent, such as "production".
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// namespace is the Kubernetes namespace; the agent makes it if need be.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('kube-')",message="namespaces of Kubernetes itself are out of bounds"
	Namespace string `json:"namespace"`
	// production refuses pull-request events, and refs without protection,
	// unless a rule says otherwise.
	// +optional
	Production bool `json:"production,omitempty"`
	// url is where the environment answers; it is linked from checks.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^\s]+$`
	URL string `json:"url,omitempty"`
	// domains are patterns of the host names that services may have here, such
	// as "shop.example.com" or "*.example.com". Without one no service has any.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?(\.[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?)*$`
	// +listType=set
	Domains []string `json:"domains,omitempty"`
	// routing is how the cluster lets traffic in to public services. Absent: an
	// Ingress of the cluster's default class, without TLS of its own.
	// +optional
	Routing Routing `json:"routing,omitzero"`
	// drift is what is done when somebody else changes or deletes what a release
	// has made: revert puts it back and on record, report puts it on record only.
	// Absent: revert.
	// +optional
	// +kubebuilder:validation:Enum=revert;report
	Drift string `json:"drift,omitempty"`
}

// Routing is how the cluster lets traffic in: by an Ingress for every public
// service, or by an HTTPRoute on a Gateway.
//
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || !has(self.ingressClass) && !has(self.tlsSecret)",message="a gateway takes the place of ingressClass and tlsSecret: its own listeners have the certificates"
// +kubebuilder:validation:XValidation:rule="has(self.gateway) || !has(self.gatewayNamespace)",message="gatewayNamespace needs gateway"
type Routing struct {
	// ingressClass is the class of every Ingress; absent: the cluster's default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	IngressClass string `json:"ingressClass,omitempty"`
	// annotations are put on every Ingress or HTTPRoute, for its controller.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
	// tlsSecret is the Secret with the certificate, in the environment's
	// namespace; "{host}" stands for the host name. Absent: no Ingress has a TLS
	// section.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]|\{host\})(([-a-z0-9.]|\{host\})*([a-z0-9]|\{host\}))?$`
	TLSSecret string `json:"tlsSecret,omitempty"`
	// gateway is the name of a Gateway: HTTPRoutes are made instead of Ingresses.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Gateway string `json:"gateway,omitempty"`
	// gatewayNamespace is where the Gateway is; absent: in the environment's
	// namespace.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	GatewaySpace string `json:"gatewayNamespace,omitempty"`
	// from are the namespaces that traffic to public services comes in from, such
	// as that of the ingress controller; absent: any, and from outside.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	From []string `json:"from,omitempty"`
}

// Rule allows the intents that match all of it. Patterns are anchored, and "*"
// stands for any run of characters but "/".
type Rule struct {
	// name is told in denials and in the log.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`
	// environments are the names of the environments that the rule is about. "pr-*"
	// is every preview of a pull request.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=40
	// +listType=set
	Environments []string `json:"environments"`
	// repositoryID is GitHub's number of the repository; unlike the name it is
	// never used again for another one.
	// +kubebuilder:validation:Minimum=1
	RepositoryID int64 `json:"repositoryID"`
	// repositoryOwnerID is GitHub's number of the owner; absent means any.
	// +optional
	// +kubebuilder:validation:Minimum=1
	RepositoryOwnerID int64 `json:"repositoryOwnerID,omitempty"`
	// refs are patterns of full refs, such as "refs/heads/main".
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +listType=set
	Refs []string `json:"refs"`
	// workflows are patterns of workflow_ref; absent means any workflow of the
	// repository.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	// +listType=set
	Workflows []string `json:"workflows,omitempty"`
	// events are event names; absent means push and workflow_dispatch. Previews are
	// of pull_request and of nothing else.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +listType=set
	Events []string `json:"events,omitempty"`
	// githubEnvironment is the GitHub environment that the job has to name;
	// absent means any.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	GitHubEnvironment string `json:"githubEnvironment,omitempty"`
	// allowPullRequests lets pull-request events into production environments.
	// +optional
	AllowPullRequests bool `json:"allowPullRequests,omitempty"`
	// allowUnprotected lets unprotected refs, and patterns of refs, into
	// production environments.
	// +optional
	AllowUnprotected bool `json:"allowUnprotected,omitempty"`
	// forks makes this the rule of pull requests that bring the code of a fork, see
	// previews.forks. No other rule lets one in, and this lets no other in.
	// +optional
	Forks bool `json:"forks,omitempty"`
	// allowForce lets an intent deploy although ordering says superseded.
	// +optional
	AllowForce bool `json:"allowForce,omitempty"`
	// allowRollback lets an intent bring back a release by its number.
	// +optional
	AllowRollback bool `json:"allowRollback,omitempty"`
}

// AppStatus is what the agent remembers of an app beyond its releases.
type AppStatus struct {
	// summary names the release that serves in each environment.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Summary string `json:"summary,omitempty"`
	// problem is what is wrong with the App itself; absent if nothing is.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Problem string `json:"problem,omitempty"`
	// lines are the high-water marks of ordering. They outlive releases.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +listType=map
	// +listMapKey=environment
	Lines []LineMarks `json:"lines,omitempty"`
	// refusals are the newest intents that were not admitted, newest last.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	// +listType=atomic
	Refusals []Refusal `json:"refusals,omitempty"`
}

// MaxRefusals is how many refusals an App keeps.
const MaxRefusals = 50

// LineMarks are the high-water marks of one environment.
type LineMarks struct {
	// environment is the name of the environment.
	// +kubebuilder:validation:MaxLength=63
	Environment string `json:"environment"`
	// lastNumber is the highest release number ever given.
	// +optional
	LastNumber int `json:"lastNumber,omitempty"`
	// lastIssuedAt is when the last admitted intent was issued.
	// +optional
	LastIssuedAt *metav1.MicroTime `json:"lastIssuedAt,omitempty"`
	// lastRunID is the highest workflow run admitted.
	// +optional
	LastRunID int64 `json:"lastRunID,omitempty"`
	// workflows has the highest run number admitted from each workflow.
	// +optional
	// +kubebuilder:validation:MaxProperties=1024
	Workflows map[string]int64 `json:"workflows,omitempty"`
	// lastRollbackAt is when the last rollback was issued: builds in flight
	// from before it do not undo it.
	// +optional
	LastRollbackAt *metav1.MicroTime `json:"lastRollbackAt,omitempty"`
	// lastRollbackBy is the commit that the last rollback brought back.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LastRollbackBy string `json:"lastRollbackBy,omitempty"`
	// current is the number of the release that serves.
	// +optional
	Current int `json:"current,omitempty"`
	// forgottenBefore is when the newest intent was issued whose record is no
	// longer kept: what is older and unknown is ignored. Denials by policy leave
	// no mark.
	// +optional
	ForgottenBefore *metav1.MicroTime `json:"forgottenBefore,omitempty"`
}

// Refusal is the record of an intent that was not admitted.
type Refusal struct {
	// app is the name of the app in the intent.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	App string `json:"app,omitempty"`
	// environment is the name of the environment in the intent.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Environment string `json:"environment,omitempty"`
	// intent is the intent's digest; empty for what could not be decoded, which
	// has its tag alone.
	// +kubebuilder:validation:MaxLength=128
	Intent string `json:"intent"`
	// tag is where it was found in the registry.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Tag string `json:"tag,omitempty"`
	// issuedAt is when the intent was issued, if ordering refused it; absent for
	// every other.
	// +optional
	IssuedAt *metav1.MicroTime `json:"issuedAt,omitempty"`
	// superseded is true when ordering decided, and false for a denial.
	// +optional
	Superseded bool `json:"superseded,omitempty"`
	// supersededBy is the commit that stands instead.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SupersededBy string `json:"supersededBy,omitempty"`
	// rule names which rule decided.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Rule string `json:"rule,omitempty"`
	// message says got what, wanted what, and what to do next.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// at is when it was decided.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// repository is where the refusal is reported; absent when no commit can be
	// trusted.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Repository string `json:"repository,omitempty"`
	// repositoryID is GitHub's number of that repository.
	// +optional
	RepositoryID int64 `json:"repositoryID,omitempty"`
	// commit is the commit that the refusal is reported on.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
	// headCommit is that of its pull request, as the intent says.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	HeadCommit string `json:"headCommit,omitempty"`
	// pullRequest is the number of the pull request that asked.
	// +optional
	PullRequest int `json:"pullRequest,omitempty"`
	// runID is the workflow run that asked.
	// +optional
	RunID int64 `json:"runID,omitempty"`
	// reported are the ways that have told of it: check, status, receipt.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	// +listType=set
	Reported []string `json:"reported,omitempty"`
}
