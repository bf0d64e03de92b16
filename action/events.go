package action

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// pullRequest is the event that makes, changes and destroys previews.
const pullRequest = "pull_request"

// noPreview is short for it.
const noPreview = spec.NoPreviewLabel

// branchRef is how a ref begins that is a branch.
const branchRef = "refs/heads/"

// request is what an event asks for.
type request struct {
	kind        intent.Kind // Deploy or Destroy
	environment string      // empty: the one that ref means
	ref         string
	idle        *idle // the event asks for nothing
}

// idle is why a run does nothing, which is no failure.
type idle struct {
	what, why, next string
}

func nothing(what, why, next string) request { return request{idle: &idle{what, why, next}} }

// events are the events that ask for something. docs/action.md says what.
func events() []string {
	return []string{"push", pullRequest, "workflow_dispatch", "release", "schedule", "repository_dispatch"}
}

// refuse returns why an event cannot be deployed; nil if it can.
func refuse(name string) error {
	switch name {
	case "pull_request_target", "workflow_run":
		return userError("the event `"+name+"` is not deployed: such a run has the trust of the base branch, its token and its secrets, whoever wrote the code that it is about",
			"run the workflow `on: pull_request`, which has the trust of the pull request itself; docs/action.md says how a fork gets a preview")
	case "merge_group":
		return userError("the event `merge_group` is not deployed: nothing is merged yet, and the queue may still drop it",
			"deploy `on: push` to the branch, which follows the merge")
	}
	if slices.Contains(events(), name) {
		return nil
	}
	return userError(fmt.Sprintf("the event %q cannot be deployed", name), "run the workflow `on:` one of "+strings.Join(events(), ", "))
}

// asks returns what the event of a run on ref asks for.
func (e event) asks(name, ref string, in Inputs) (request, error) {
	r := request{kind: intent.Deploy, environment: in.Environment, ref: ref}
	switch name {
	case "push":
		if e.Deleted {
			return nothing(quiet(ref)+" was deleted: nothing to deploy", "", ""), nil
		}
	case "release":
		r = e.release(r)
	case pullRequest:
		return e.preview(in)
	}
	if number, is := spec.PreviewNumber(in.Environment); is && !in.DryRun {
		return r, userError(fmt.Sprintf("input environment: %s is the preview of pull request #%d, and its own events alone make and change it", in.Environment, number),
			"run the workflow `on: pull_request`, or run that pull request's workflow again")
	}
	return r, nil
}

// release is what a GitHub release asks for: the environment of the branch that
// it was made from, since the ref of the run is a tag.
func (e event) release(r request) request {
	if e.Action != "published" {
		return nothing("a release that is "+quiet(e.Action)+" deploys nothing", "only a release that is published does", "write `on: {release: {types: [published]}}` in the workflow")
	}
	if target := e.Release.Target; target != "" && !commitShape.MatchString(target) {
		r.ref = branchRef + target
	}
	return r
}

// preview is what a pull request asks for.
func (e event) preview(in Inputs) (request, error) {
	pr := e.PullRequest
	if pr.Number < 1 || !commitShape.MatchString(pr.Head.SHA) {
		return request{}, fmt.Errorf("reading the event: got pull request %d with the head commit %.50q, want a number and 40 hex digits", pr.Number, pr.Head.SHA)
	}
	name := fmt.Sprintf("pull request #%d", pr.Number)
	r := request{kind: intent.Deploy, environment: "pr-" + strconv.Itoa(pr.Number)}
	switch {
	case !in.Previews:
		return nothing(name+" has no preview", "the input previews is false", ""), nil
	case in.RollbackTo != "":
		return r, userError("input rollback-to: a pull request cannot ask for a rollback", "roll back by a workflow of its own, `on: workflow_dispatch`")
	case in.DryRun && in.Environment != "":
		r.environment = in.Environment // what merging would mean there
	case in.Environment != "" && in.Environment != r.environment:
		return r, userError(fmt.Sprintf("input environment: got %q: a pull request deploys to its preview alone, %s", in.Environment, r.environment),
			"leave the input out for this event, as in `environment: ${{ github.event_name != 'pull_request' && 'production' || '' }}`")
	}
	if e.fork() && !in.DryRun {
		if e.Action == "closed" {
			return nothing(name+" had no preview", "it came from a fork", ""), nil
		}
		return nothing(name+" gets no preview", "it comes from a fork, and GitHub gives such a run neither secrets nor an ID token, which would sign the deploy",
			"a maintainer who has read the code can start one: docs/action.md, Pull requests from forks, has the workflow for it"), nil
	}
	return e.act(r, name, in)
}

// act is what happened to a pull request of the repository itself.
func (e event) act(r request, name string, in Inputs) (request, error) {
	unwanted := slices.Contains(e.labels(), noPreview)
	ends := e.Action == "closed" || e.Action == "labeled" && e.Label.Name == noPreview
	switch {
	case ends && in.DryRun && in.Environment != "": // which is of no pull request
		return nothing("nothing to plan for "+name, "it changes nothing of "+quiet(in.Environment)+" any more", ""), nil
	case e.Action == "closed":
		r.kind = intent.Destroy
	case e.PullRequest.State == "closed":
		return nothing(name+" is closed: nothing to deploy", "", ""), nil
	case (e.Action == "labeled" || e.Action == "unlabeled") && e.Label.Name != noPreview:
		return nothing("the label "+quiet(strconv.Quote(e.Label.Name))+" says nothing about what is deployed for "+name,
			"the one label that does is "+noPreview+"; those that keep a preview or wake it are the agent's, which looks at them itself", ""), nil
	case e.Action == "labeled":
		r.kind = intent.Destroy
	case !slices.Contains([]string{"opened", "reopened", "synchronize", "unlabeled"}, e.Action):
		return nothing(name+" was "+quiet(e.Action)+": nothing to deploy", "previews follow opened, reopened, synchronize, closed, labeled and unlabeled", ""), nil
	case unwanted && !in.DryRun:
		return nothing(name+" gets no preview", "it has the label "+noPreview, "take the label off to get one"), nil
	}
	if r.kind == intent.Destroy && in.Mode == modeBuild {
		return nothing("nothing to build for "+name, "its preview goes away", ""), nil
	}
	return r, nil
}

// fork reports whether the code of a pull request comes from another repository;
// one that is gone meanwhile has none.
func (e event) fork() bool {
	head := e.PullRequest.Head.Repo
	return head == nil || head.ID != e.Repository.ID
}

func (e event) labels() []string {
	var names []string
	for _, label := range e.PullRequest.Labels {
		names = append(names, label.Name)
	}
	return names
}
