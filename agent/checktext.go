package agent

import (
	"fmt"
	"slices"
	"strings"
)

// checkPrefix is what the name of every check run begins with.
const checkPrefix = "inhaul / "

// CheckName is the name of a line's check run on a commit of a repository. It
// tells which app where another one of apps, which are all of the cluster, can be
// deployed from that repository too.
func CheckName(line Line, repositoryID int64, apps []App) string {
	return checkPrefix + environmentName(line, repositoryID, apps)
}

// environmentName is how GitHub shows a line's environment, under the same rule.
func environmentName(line Line, repositoryID int64, apps []App) string {
	for _, app := range apps {
		names := func(r Rule) bool { return r.RepositoryID == repositoryID }
		if app.Name != line.App && repositoryID != 0 && slices.ContainsFunc(app.Rules, names) {
			return line.App + " / " + line.Environment
		}
	}
	return line.Environment
}

// check is the release as its check run shows it.
func (r Release) check(v view) Check {
	c := Check{
		Repository: r.Source.Repository, Commit: r.Source.Commit,
		Name: CheckName(r.Line, r.Source.RepositoryID, v.Apps), ExternalID: r.Intent,
		StartedAt: r.Status.At(StepAdmitted), Title: r.title(v), Summary: r.summary(v), Text: r.text(v),
		DetailsURL: v.run(r.Source.Repository, r.Source.RunID, r.Source.RunAttempt), Annotations: r.annotations(),
	}
	switch r.Status.Phase {
	case Pending, "":
		c.Status = Queued
	case Provisioning, Predeploying, Seeding, Applying, RollingOut, Restoring: // red may be certain, what is done about it is not yet
		c.Status = InProgress
	case Succeeded, Superseded, Failed, RolledBack:
		c.Status, c.Conclusion, c.CompletedAt = Completed, r.conclusion(), r.Status.At(StepVerdict)
	}
	return c
}

// conclusion is how a release that has ended stands on its commit. GitHub blocks a
// merge on all of them but success and neutral.
//
//   - failure where something is wrong with the version, its settings or the
//     cluster, and known to be
//   - timed_out where all that is known is that time ran out: more of it, or the
//     same again, may do
//   - cancelled where somebody ended it
//   - neutral where a newer one came, which shows its own
func (r Release) conclusion() Conclusion {
	switch {
	case r.Status.Phase == Succeeded:
		return Success
	case r.Status.Phase == Superseded:
		return Neutral
	case r.Status.Cause == nil:
		return Failure
	}
	switch r.Status.Cause.Kind {
	case CauseNotReady, CauseNoProgress:
		return TimedOut
	case CausePredeploy, CauseSeed, CauseTeardown:
		return r.Status.Cause.taskConclusion()
	case CauseImagePull, CauseArchitecture, CauseConfig, CauseSecret, CauseCrash, CauseOutOfMemory, CauseNotListening,
		CauseProbe, CauseUnschedulable, CauseQuota, CauseAdmission, CauseRejected:
	}
	return Failure
}

// taskConclusion tells a command that failed from one that was not let end.
func (c Cause) taskConclusion() Conclusion {
	_, what, _ := strings.Cut(c.Message, ": ")
	switch {
	case strings.HasPrefix(what, taskCancelled):
		return Cancelled
	case strings.HasPrefix(what, taskLate):
		return TimedOut
	}
	return Failure
}

// check is the refusal as a check run shows it.
func (r Refusal) check(v view) Check {
	c := Check{
		Repository: r.Repository, Commit: r.Commit, Name: CheckName(r.Line, r.RepositoryID, v.Apps), ExternalID: r.Intent,
		Status: Completed, Conclusion: ActionRequired, StartedAt: r.At, CompletedAt: r.At, Title: r.title(),
		DetailsURL: v.run(r.Repository, r.RunID, 0),
	}
	summary := fmt.Sprintf("%s\n\nRefused by %s. Nothing was changed.\n\n**Next:** %s.", bold(clip(r.Message, maxMessage)), code(clip(r.Rule, maxRule)), plain(r.next()))
	if r.Superseded {
		c.Conclusion = Neutral
		summary = fmt.Sprintf("Not deployed: %s (%s).\n\n", plain(clip(r.Message, maxMessage)), plain(clip(r.Rule, maxRule)))
		if r.SupersededBy != "" {
			summary += "Superseded by " + v.newer(r.Repository, r.SupersededBy) + ". "
		}
		summary += "Nothing to do."
	}
	asked := "Asked for by " + link(fmt.Sprintf("run %d", r.RunID), c.DetailsURL)
	c.Summary = fit(maxText, words(summary))
	c.Text = fit(maxText, words(fmt.Sprintf("%s · rule %s · intent %s\n\n%s", asked, code(clip(r.Rule, maxRule)), code(r.Intent), noRerun(c.DetailsURL))))
	return c
}
