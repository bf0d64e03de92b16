package agent

import (
	"regexp"
)

// maxDescription is what the descriptions of a deployment's status and of a commit
// status may have, in characters.
//
// https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status
const maxDescription = 140

// previewShape is the name of an environment that goes away with its pull request.
var previewShape = regexp.MustCompile(`^pr-[1-9][0-9]*$`)

// deployment is the release as a GitHub deployment, without its id.
func (r Release) deployment(v view) Deployment {
	return Deployment{
		Repository: r.Source.Repository, Commit: r.Source.Commit, Environment: environmentName(r.Line, r.Source.RepositoryID, v.Apps), Intent: r.Intent,
		Production: v.Environment.Production, Transient: previewShape.MatchString(r.Line.Environment),
		State: r.deploymentState(v), Description: clip(r.title(v), maxDescription), URL: webAddress(v.Environment.URL),
		LogURL: v.run(r.Source.Repository, r.Source.RunID, r.Source.RunAttempt),
	}
}

// deploymentState is success while the release serves and inactive from then on:
// of one environment one deployment at most is a success.
func (r Release) deploymentState(v view) DeploymentState {
	switch r.Status.Phase {
	case Pending, "":
		return DeploymentQueued
	case Provisioning, Predeploying, Seeding, Applying, RollingOut, Restoring:
		return DeploymentInProgress
	case Failed, RolledBack:
		return DeploymentFailure
	case Superseded:
		return DeploymentInactive
	case Succeeded:
	}
	if !v.serves(r) {
		return DeploymentInactive
	}
	return DeploymentSuccess
}

// The states of a commit status.
//
// https://docs.github.com/en/rest/commits/statuses
const (
	statusPending = "pending"
	statusSuccess = "success"
	statusFailure = "failure" // it was tried, or denied
	statusError   = "error"   // it was not, since a newer one came
)

// commitStatus is the release as a commit status. There is no neutral one: what has
// been superseded is an error whose description says that nobody has to do anything.
// Success would do more harm: it tells people, branch protection and whatever
// promotes what is green that the commit was live, which nobody has seen. Pending
// would keep a branch that requires the status waiting for ever. An error blocks at
// most the merge of a commit that is not the newest; the newest has its own status.
func (r Release) commitStatus(v view) CommitStatus {
	s := CommitStatus{
		Repository: r.Source.Repository, Commit: r.Source.Commit, Context: CheckName(r.Line, r.Source.RepositoryID, v.Apps),
		State: statusPending, Description: clip(r.title(v), maxDescription),
		URL: v.run(r.Source.Repository, r.Source.RunID, r.Source.RunAttempt),
	}
	switch r.Status.Phase {
	case Succeeded:
		s.State = statusSuccess
	case Failed, RolledBack:
		s.State = statusFailure
	case Superseded:
		s.State, s.Description = statusError, nothingToDo(r.title(v))
	case Pending, Provisioning, Predeploying, Seeding, Applying, RollingOut, Restoring:
	}
	return s
}

// commitStatus is the refusal as a commit status.
func (r Refusal) commitStatus(v view) CommitStatus {
	s := CommitStatus{
		Repository: r.Repository, Commit: r.Commit, Context: CheckName(r.Line, r.RepositoryID, v.Apps),
		State: statusFailure, Description: clip(r.title(), maxDescription), URL: v.run(r.Repository, r.RunID, 0),
	}
	if r.Superseded {
		s.State, s.Description = statusError, nothingToDo(r.title())
	}
	return s
}

// nothingToDo is the description of what is no success and needs nobody.
func nothingToDo(title string) string {
	const calm = " · nothing to do"
	return clip(title, maxDescription-len([]rune(calm))) + calm
}
