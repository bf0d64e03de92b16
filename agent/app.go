package agent

import "time"

// App is what the platform owner allows for one app, and what the agent
// remembers of it.
type App struct {
	Name         string   // the app's name in every intent
	Intents      string   // repository where its intents are published
	Images       []string // repositories its images may come from
	Signers      []Signer
	Rules        []Rule        // deny by default: one rule has to allow an intent
	Environments []Environment // the declared ones, and those of Previews that are there; see With
	History      int           // releases kept per environment
	Status       AppStatus

	PreviewPolicy *PreviewPolicy // nil: no preview of a pull request is made
	Previews      []Preview      // every one that there is a record of
}

// Signer is one accepted way to sign an intent.
type Signer struct {
	Issuer    string // OIDC issuer of GitHub; exclusive with PublicKey
	PublicKey string // PEM, ed25519 or ECDSA P-256
}

// Environment is one place where an app runs.
type Environment struct {
	Name       string
	Namespace  string
	Production bool // refuses pull-request events and unprotected refs unless a rule says otherwise
	URL        string
	Domains    []string // patterns of host names that its services may have, "*.example.com"; empty: none
	Routing    Routing
	Drift      DriftPolicy // what is done when somebody else changes what a release has made

	// Of a preview.
	PullRequest int    // 0: it is none
	Host        string // that its public services have; empty: none
}

// Routing is how the cluster lets traffic in to public services. The zero value
// is an Ingress of the cluster's default class without TLS of its own.
type Routing struct {
	IngressClass string            // empty: the cluster's default class
	Annotations  map[string]string // of every Ingress or HTTPRoute, for its controller
	TLSSecret    string            // Secret with the certificate; "{host}" stands for the host name; empty: no TLS section
	Gateway      string            // name of a Gateway: HTTPRoutes are made instead of Ingresses
	GatewaySpace string            // namespace of the Gateway; empty: that of the environment
	From         []string          // namespaces that traffic comes in from; empty: any
}

// Rule allows the intents that match all of it. An empty list allows nothing
// but where said otherwise. Patterns are anchored; "*" stands for any run of
// characters but "/".
type Rule struct {
	Name              string
	Environments      []string // names; "pr-*": every preview
	RepositoryID      int64
	RepositoryOwnerID int64    // 0: any
	Refs              []string // patterns
	Workflows         []string // patterns of workflow_ref; empty: any workflow of the repository
	Events            []string // empty: push and workflow_dispatch, and of a preview pull_request
	GitHubEnvironment string   // empty: any
	AllowPullRequests bool     // lets pull-request events into production environments
	AllowUnprotected  bool     // lets unprotected refs and ref patterns into production environments
	Forks             bool     // lets code of forks into previews, and nothing else
	AllowForce        bool
	AllowRollback     bool // lets kind rollback
}

// AppStatus is what the agent remembers of an App beyond its releases.
type AppStatus struct {
	Lines    []LineMarks
	Refusals []Refusal // newest last, bounded
	Problem  string    // what is wrong with the App itself; empty if nothing is
}

// LineMarks are the high-water marks of a line. They outlive trimmed releases.
type LineMarks struct {
	Environment    string
	LastNumber     int
	LastIssuedAt   time.Time
	LastRunID      int64
	Workflows      map[string]int64 // workflow path to highest run number admitted
	LastRollbackAt time.Time        // issuedAt of the last rollback
	LastRollbackBy string           // commit that the last rollback brought back
	Current        int              // number of the release that serves
	// ForgottenBefore is the issuedAt of the newest intent whose record was
	// trimmed, denied ones left aside. What is older and unknown cannot be told
	// from it: ignored.
	ForgottenBefore time.Time
}
