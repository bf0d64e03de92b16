package agent

import (
	"fmt"
	"strings"
)

// text holds the details: what was said, how long it took, who asked and what let
// them, how to look closer and how to go back. Its last line is for the workflow
// that waits.
func (r Release) text(v view) string {
	var passages []passage
	if cause := r.Status.Cause; cause != nil {
		passages = append(passages,
			folded(fmt.Sprintf("Last lines of %s, container %s", cause.Pod, cause.Container), cause.Log, true),
			folded("Events of the cluster", strings.Join(cause.Events, "\n"), false),
			words("Cause: "+cause.where()+"\n\n"))
	}
	passages = append(passages,
		folded("Last lines of the predeploy command, which ended well", r.Status.PredeployLog, false),
		folded("Last lines of the seed command, which ended well", r.Status.SeedLog, false),
		words(r.timeline()), words(r.origin(v)), words(r.closer()), words(r.undo(v)),
		words(noRerun(v.run(r.Source.Repository, r.Source.RunID, 0))+"\n\n"),
		words(r.marker(v).comment()))
	return fit(maxText, passages...)
}

// where is the kind of a cause, and what showed it.
func (c Cause) where() string {
	told := []string{string(c.Kind)}
	if c.Pod != "" {
		told = append(told, "pod "+code(c.Pod))
	}
	if c.Container != "" {
		told = append(told, "container "+code(c.Container))
	}
	if c.ExitCode != 0 {
		told = append(told, fmt.Sprintf("exit code %d", c.ExitCode))
	}
	return strings.Join(told, " · ")
}

// phaseOf is what the time before a step was spent on.
func (r Release) phaseOf(step Step) string {
	failed := !r.Status.At(StepVerdict).IsZero() && r.Status.Cause != nil
	switch step {
	case StepVerified:
		return "Check signature and policy"
	case StepAdmitted:
		return "Put it on record"
	case StepPredeploying:
		return "Start the predeploy command"
	case StepPredeployed:
		return "Run the predeploy command"
	case StepDatabases:
		return "Wait until its databases are ready"
	case StepSeeding:
		return "Start the seed command"
	case StepSeeded:
		return "Run the seed command"
	case StepApplied:
		return "Write its objects"
	case StepReady:
		return "Wait until every new pod is ready"
	case StepVerdict:
		switch {
		case failed:
			return "Find it failed"
		case r.Status.Phase == Superseded:
			return "Make way for a newer one"
		}
		return "Take old pods out of service"
	case StepRestored:
		if !r.wrote() {
			return fmt.Sprintf("Make sure that release %d is in place", r.Status.RestoredTo)
		}
		return fmt.Sprintf("Put release %d back", r.Status.RestoredTo)
	case StepReported:
		return "Say so on GitHub"
	case StepNoticed:
	}
	return string(step)
}

// timeline is a table of what took how long.
func (r Release) timeline() string {
	moments := r.Status.Timeline
	if len(moments) < 2 {
		return ""
	}
	lines := []string{"| step | took | after |", "|---|---|---|"}
	start, last := moments[0].At, moments[0].At
	for _, m := range moments[1:] {
		if m.Step == StepReported { // of the check that is being written, this can only be an older word
			continue
		}
		lines = append(lines, fmt.Sprintf("| %s | %s | %s |", r.phaseOf(m.Step), took(m.At.Sub(last)), took(m.At.Sub(start))))
		last = later(last, m.At)
	}
	return strings.Join(lines, "\n") + "\n\n"
}

// origin says what runs, who asked for it, and what let them.
func (r Release) origin(v view) string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	actor := plain(clip(r.Source.Actor, maxActor))
	if r.Evidence.Scheme == requestScheme {
		say("Asked for in the cluster by %s, whom Kubernetes lets do so", actor)
	} else {
		run := fmt.Sprintf("run %d, attempt %d", r.Source.RunID, r.Source.RunAttempt)
		say("Asked for by %s · %s", actor, link(run, v.run(r.Source.Repository, r.Source.RunID, r.Source.RunAttempt)))
		if workflow, _, _ := strings.Cut(r.Source.WorkflowRef, "@"); workflow != "" {
			say("Workflow %s on %s, event %s", code(clip(workflow, maxRule)), code(clip(r.Source.Ref, maxRule)), code(clip(r.Source.Event, maxActor)))
		}
		say("Allowed by policy rule %s · signed by %s", code(clip(r.Rule, maxRule)), code(r.Evidence.Scheme))
	}
	say("Release %d · intent %s", r.Number, code(r.Intent))
	if r.Image != "" {
		say("Image %s", code(r.Image))
	}
	return "- " + strings.Join(lines, "\n- ") + "\n\n"
}

// closer are the commands to look at the release.
func (r Release) closer() string {
	if r.Removed || r.Parked { // there is nothing to look at
		return ""
	}
	lines := []string{
		fmt.Sprintf("kubectl -n %s describe release %s-%d", r.Namespace, r.Line.App, r.Number),
		fmt.Sprintf("kubectl -n %s get pods -l inhaul.dev/app=%s", r.Namespace, r.Line.App),
	}
	if c := r.Status.Cause; c != nil && c.Pod != "" && c.Container != "" {
		lines = append(lines, fmt.Sprintf("kubectl -n %s logs %s -c %s", r.Namespace, c.Pod, c.Container))
	}
	return "Look closer:\n\n" + fenced(strings.Join(lines, "\n")) + "\n\n"
}

// undo is the way back; empty if there is none, or nothing to undo.
func (r Release) undo(v view) string {
	back := r.replaced(v.Releases)
	if back == 0 {
		return ""
	}
	return fmt.Sprintf("Undo: `inhaul rollback %s --environment %s --to %d`, or the workflow input `rollback-to: %d`\n\n", r.Line.App, r.Line.Environment, back, back)
}

// noRerun says which button helps; run is the address of the workflow's run.
func noRerun(run string) string {
	return "GitHub's own *Re-run* button on this check cannot reach the agent, which accepts no traffic: re-run " + link("the workflow", run) + " instead."
}
