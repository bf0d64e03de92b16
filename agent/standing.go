package agent

import (
	"fmt"
	"strings"
	"time"
)

// Standing is how one environment of an app stands, as a row of the comment on a
// pull request.
type Standing struct {
	Environment string
	URL         string // where it answers; may be empty
	Phase       Phase
	Destroyed   bool   // the environment is gone, or is being taken away
	Commit      string // whose code runs, or is to
	ExpiresAt   time.Time
	Check       string // web address of the check or of the run; may be empty
	Note        string // one line of plain text; may be empty
}

// commentMarker finds the one comment of an app on a pull request again.
func commentMarker(app string) string { return "<!-- inhaul: preview " + app + " -->" }

// commentBody is the one comment of an app on a pull request, in Markdown.
func commentBody(app string, rows []Standing, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n### %s\n", commentMarker(app), app)
	for _, row := range rows {
		fmt.Fprintf(&b, "\n%s: %s %s\n", row.Environment, row.Phase, row.URL)
	}
	return b.String()
}

// standing is the row of r; check is the web address of its check, if known.
func (r Release) standing(v view, check string) Standing {
	return Standing{Environment: r.Line.Environment, URL: v.Environment.URL, Phase: r.Status.Phase, Commit: r.deployed(v.Releases), Check: check}
}

// deployment is the release as a GitHub deployment, without its id.
func (r Release) deployment(v view) Deployment {
	return Deployment{
		Repository: r.Source.Repository, Commit: r.Source.Commit, Environment: r.Line.Environment, Intent: r.Intent,
		Production: v.Environment.Production, State: map[Phase]DeploymentState{
			Pending: DeploymentQueued, Predeploying: DeploymentInProgress, Applying: DeploymentInProgress, RollingOut: DeploymentInProgress,
			Restoring: DeploymentInProgress, Succeeded: DeploymentSuccess, Failed: DeploymentFailure, RolledBack: DeploymentFailure, Superseded: DeploymentInactive,
		}[r.Status.Phase], URL: v.Environment.URL,
	}
}

// commitStatus is the release as a commit status.
func (r Release) commitStatus(v view) CommitStatus {
	if !r.Status.Phase.Terminal() {
		return CommitStatus{
			Repository: r.Source.Repository, Commit: r.Source.Commit, Context: CheckName(r.Line, r.Source.RepositoryID, v.Apps), State: "pending",
		}
	}
	return CommitStatus{
		Repository: r.Source.Repository, Commit: r.Source.Commit, Context: CheckName(r.Line, r.Source.RepositoryID, v.Apps), State: map[Phase]string{
			Succeeded: "success", Superseded: "error", Failed: "failure", RolledBack: "failure",
		}[r.Status.Phase],
	}
}

// commitStatus is the refusal as a commit status.
func (r Refusal) commitStatus(v view) CommitStatus {
	return CommitStatus{Repository: r.Repository, Commit: r.Commit, Context: CheckName(r.Line, r.RepositoryID, v.Apps), State: "error"}
}
