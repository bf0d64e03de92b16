package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// allPreviews names every preview in a rule's environments. No environment can
// have that name.
const allPreviews = "pr-*"

// previewEvent is the one event that previews are made and taken away by. Its token
// names the pull request in its ref; that of pull_request_target does not, and
// speaks for code that nobody has looked at.
const previewEvent = "pull_request"

// environment is the one that an intent names, declared or that of a preview; else
// why there is none.
func (p Policy) environment(want intent.Predicate) (Environment, *Denied) {
	i := slices.IndexFunc(p.app.Environments, func(e Environment) bool { return e.Name == want.Environment })
	if i >= 0 && p.app.Environments[i].PullRequest == 0 {
		return p.app.Environments[i], nil
	}
	number, is := spec.PreviewNumber(want.Environment)
	switch {
	case !is:
		return Environment{}, &Denied{Rule: "policy: environment", Field: "environment", Got: want.Environment, Want: "one of the App's environments"}
	case i >= 0 && (p.app.PreviewPolicy != nil || want.Kind == intent.Destroy):
		return p.app.Environments[i], nil
	case want.Kind == intent.Destroy: // of what is gone, or never was
		return Environment{Name: want.Environment, PullRequest: number}, nil
	case p.app.PreviewPolicy == nil:
		return Environment{}, &Denied{
			Rule: "policy: previews", Field: "environment", Got: want.Environment, Want: "one of the App's environments: it has no previews",
			Next: fmt.Sprintf("the platform owner says spec.previews in App %q to have previews of pull requests", p.app.Name),
		}
	}
	return p.app.PreviewPolicy.environment(p.app.Name, number), nil
}

// names reports whether the rule is about the environment.
func (r compiledRule) names(e Environment) bool {
	return slices.Contains(r.Environments, e.Name) || e.PullRequest != 0 && slices.Contains(r.Environments, allPreviews)
}

// eventsIn are the events that the rule allows in the environment.
func (r compiledRule) eventsIn(e Environment) []string {
	switch {
	case len(r.Events) > 0:
		return r.Events
	case e.PullRequest != 0:
		return []string{previewEvent}
	}
	return defaultEvents()
}

// pullRequestRef is the ref of a token of an open pull request.
//
// https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#pull_request
func pullRequestRef(number int) string { return "refs/pull/" + strconv.Itoa(number) + "/merge" }

// open is the source of a destroy as the pull request had it while it was open, which
// is what rules are about. The last event of one that was merged has the branch for
// its ref that it was merged into.
func open(s intent.Source, e Environment, kind intent.Kind) intent.Source {
	if e.PullRequest == 0 || kind != intent.Destroy || !strings.HasPrefix(s.Ref, "refs/heads/") {
		return s
	}
	s.Ref = pullRequestRef(e.PullRequest)
	s.WorkflowRef = WorkflowPath(s.WorkflowRef) + "@" + s.Ref
	return s
}

// previewSteps are the conditions of a preview, whatever the rule says. The number
// that an intent gives is its workflow's word: the ref is what GitHub vouches for.
func previewSteps(s intent.Source, e Environment) []step {
	number := strconv.Itoa(e.PullRequest)
	return []step{
		{"event", s.Event == previewEvent, s.Event, strconv.Quote(previewEvent) + ": it alone makes previews"},
		{"pull request", s.PullRequest == e.PullRequest, strconv.Itoa(s.PullRequest), number + ", as the environment says"},
		{"ref", s.Ref == pullRequestRef(e.PullRequest), s.Ref, strconv.Quote(pullRequestRef(e.PullRequest)) + ", as the environment says"},
	}
}

// taken says why the repository may not have the environment's preview: there is one of
// another repository, or that waits; nil if it may.
func (a App) taken(e Environment, s intent.Source) *Denied {
	p, found := a.preview(e.Name)
	there := found && (p.Phase == PreviewActive || p.Phase == PreviewDestroying || p.Waiting != nil)
	if !there || p.RepositoryID == s.RepositoryID {
		return nil
	}
	return &Denied{
		Rule: "policy: previews", Field: "repository ID", Got: strconv.FormatInt(s.RepositoryID, 10) + " (" + s.Repository + ")",
		Want: fmt.Sprintf("%d (%s), whose pull request has the preview %s of the app", p.RepositoryID, p.Repository, e.Name),
	}
}
