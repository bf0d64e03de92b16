package agent

import (
	"context"
	"time"
)

// Way is a way out of the cluster for the truth about a release. The ways take
// turns of their own: one that is stuck delays no other.
type Way string

// The ways out. They are stored: a name, once used, keeps its meaning.
const (
	WayCheck      Way = "check"      // a check run, written as a GitHub App
	WayDeployment Way = "deployment" // a GitHub deployment and its statuses, as a GitHub App
	WayComment    Way = "comment"    // the pull request's one comment, as a GitHub App
	WayStatus     Way = "status"     // a commit status, with a plain token
	WayReceipt    Way = "receipt"    // a signed receipt beside the intent; needs no GitHub
)

// Annotation is a line of a file that a check points at.
type Annotation struct {
	Path    string // in the repository
	Line    int    // from 1
	Level   string // notice, warning or failure
	Title   string
	Message string
}

// DeploymentState is the state of a GitHub deployment.
//
// https://docs.github.com/en/rest/deployments/statuses
type DeploymentState string

// The states of a GitHub deployment.
const (
	DeploymentQueued     DeploymentState = "queued"
	DeploymentInProgress DeploymentState = "in_progress"
	DeploymentSuccess    DeploymentState = "success"
	DeploymentFailure    DeploymentState = "failure"  // it was tried and did not work
	DeploymentInactive   DeploymentState = "inactive" // another one took its place, or the environment is gone
)

// Deployment is a GitHub deployment as it is to look like.
type Deployment struct {
	ID          int64  // 0 until known
	Repository  string // owner/name
	Commit      string
	Environment string // as GitHub shows it, "production"
	Intent      string // digest; finds the deployment again
	Production  bool
	Transient   bool // of a preview
	State       DeploymentState
	Description string // one line, at most 140 characters
	URL         string // where the environment answers
	LogURL      string
}

// Comment is the one comment of an app on a pull request.
type Comment struct {
	ID          int64  // 0 until known
	Repository  string // owner/name
	PullRequest int
	Marker      string // an HTML comment, in Body too; finds the comment again
	Body        string // Markdown
}

// CommitStatus is a commit status as it is to look like.
type CommitStatus struct {
	Repository  string // owner/name
	Commit      string
	Context     string // "inhaul / production"; see CheckName
	State       string // pending, success, failure or error
	Description string // one line, at most 140 characters
	URL         string
}

// Receipt is what the agent says of an intent where a workflow can read it
// without GitHub. Those of one intent are numbered from 1; the last one is Final.
type Receipt struct {
	Intents  string // repository where the intent was published
	Intent   string // digest
	Number   int
	Final    bool
	Line     Line
	Check    Check    // as the check run is to look like
	Comment  *Comment // of a pull request's intent
	Marker   Marker
	Reported bool // the agent itself writes the check run
	At       time.Time
}

// Deployments shows releases as GitHub deployments.
type Deployments interface {
	// ShowDeployment makes the deployment of d.Intent look like d, creating it only
	// if there is none, and returns its id. ErrNoCommit where that is impossible for
	// good.
	ShowDeployment(ctx context.Context, d Deployment) (int64, error)
}

// Comments shows what an app has running for a pull request.
type Comments interface {
	// ShowComment makes the comment with c.Marker look like c, creating it only if
	// there is none, and returns its id. ErrNoCommit where that is impossible for
	// good.
	ShowComment(ctx context.Context, c Comment) (int64, error)
}

// Statuses shows releases as commit statuses.
type Statuses interface {
	// ShowStatus makes s the newest status of its commit and context, unless it is
	// already. ErrNoCommit where that is impossible for good.
	ShowStatus(ctx context.Context, s CommitStatus) error
}

// PullRequests tells of pull requests what no token claims.
type PullRequests interface {
	// HasCommit reports whether the commit belongs to the pull request. ErrNotPermitted
	// says that nobody tells the agent.
	HasCommit(ctx context.Context, repository string, number int, commit string) (bool, error)
}

// Receipts is where receipts are published.
type Receipts interface {
	// PublishReceipt signs r and publishes it beside its intent. Publishing it again
	// is no error; one with that number and other words is ErrExists, and
	// ErrNotPermitted says that the registry refuses it.
	PublishReceipt(ctx context.Context, r Receipt) error
}
