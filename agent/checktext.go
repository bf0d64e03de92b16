package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// checkPrefix is what the name of every check run begins with.
const checkPrefix = "inhaul / "

// CheckName is the name of a line's check run on a commit of a repository. It
// tells which app where another one of apps, which are all of the cluster, can be
// deployed from that repository too.
func CheckName(line Line, repositoryID int64, apps []App) string {
	for _, app := range apps {
		names := func(r Rule) bool { return r.RepositoryID == repositoryID }
		if app.Name != line.App && repositoryID != 0 && slices.ContainsFunc(app.Rules, names) {
			return checkPrefix + line.App + " / " + line.Environment
		}
	}
	return checkPrefix + line.Environment
}

// environmentName is how GitHub shows a line's environment, under the same rule.
func environmentName(line Line, repositoryID int64, apps []App) string {
	return strings.TrimPrefix(CheckName(line, repositoryID, apps), checkPrefix)
}

// check is the release as its check run shows it.
func (r Release) check(v view) Check {
	back := r.replaced(v.Releases)
	c := Check{
		Repository: r.Source.Repository, Commit: r.Source.Commit,
		Name: CheckName(r.Line, r.Source.RepositoryID, v.Apps), ExternalID: r.Intent,
		StartedAt: r.Status.At(StepAdmitted), Title: r.Status.Message, Text: r.text(v.Environment.URL, back),
	}
	switch r.Status.Phase {
	case Pending, "":
		c.Status, c.Title = Queued, fmt.Sprintf("Release %d is waiting", r.Number)
	case Predeploying:
		c.Status, c.Title = InProgress, fmt.Sprintf("Release %d runs its predeploy command", r.Number)
	case Applying, RollingOut:
		c.Status, c.Title = InProgress, fmt.Sprintf("Release %d is rolling out", r.Number)
		if r.waits() {
			c.Title = fmt.Sprintf("Release %d waits for a node", r.Number)
		}
	case Succeeded:
		c.Status, c.Conclusion = Completed, Success
		c.Title = fmt.Sprintf("%s · %s · %s", r.Status.Message, count(len(r.App.Services), "service"), short(orElse(r.Commit, r.Source.Commit)))
	case Superseded:
		c.Status, c.Conclusion = Completed, Neutral
	case Restoring, Failed, RolledBack:
		c.Status, c.Conclusion = Completed, Failure
	}
	if r.Status.Phase == Restoring { // red is certain, what is done about it is not yet
		c.Status, c.Conclusion = InProgress, ""
	}
	if c.Status == Completed {
		c.CompletedAt = r.Status.At(StepVerdict)
	}
	c.Summary = r.summary()
	return c
}

// summary says what happened, why, what was done and what to do next.
func (r Release) summary() string {
	var b strings.Builder
	if cause := r.Status.Cause; cause != nil {
		fmt.Fprintf(&b, "%s\n\n", bold(cause.Message))
		b.WriteString(r.aftermath())
		fmt.Fprintf(&b, "Next: %s.\n\n", cause.Next)
	}
	switch {
	case r.waits():
		fmt.Fprintf(&b, "%s\n\nNothing to do: it goes on once the node is there, and is red if none comes within %s.\n\n", bold(r.Status.Message), nodePatience)
	case r.Removed:
		b.WriteString(r.removedSummary())
	case r.Status.Phase == Superseded && !r.Status.At(StepReady).IsZero():
		fmt.Fprintf(&b, "It was live, and `%s` took its place before this could be said here. Nothing to do.\n\n", short(r.Status.SupersededBy))
	case r.Status.Phase == Superseded:
		fmt.Fprintf(&b, "Superseded by `%s`, which is newer. Nothing to do.\n\n", short(r.Status.SupersededBy))
	}
	if r.Note != "" {
		fmt.Fprintf(&b, "%s: %s.\n\n", r.Reason, plain(r.Note))
	}
	if len(r.Status.Services) > 0 {
		b.WriteString("| service | ready | restarts |\n|---|---|---|\n")
		for _, s := range r.Status.Services {
			fmt.Fprintf(&b, "| %s | %d of %d | %d |\n", s.Name, s.Ready, s.Desired, s.Restarts)
		}
		b.WriteString("\n")
	}
	if b.Len() == 0 {
		fmt.Fprintf(&b, "Release %d of `%s` in `%s`.\n", r.Number, r.Line.App, r.Line.Environment)
	}
	return strings.TrimSpace(b.String())
}

// aftermath says what a failure has left in place; empty until that is certain.
func (r Release) aftermath() string {
	wrote := r.wrote()
	switch {
	case r.Status.RestoredTo != 0 && wrote:
		return fmt.Sprintf("Release %d never stopped serving; its objects are back in place.\n\n", r.Status.RestoredTo)
	case r.Status.RestoredTo != 0:
		return fmt.Sprintf("Nothing of the app was changed: release %d goes on serving.\n\n", r.Status.RestoredTo)
	case r.Status.Phase == Failed && r.Status.SupersededBy != "":
		return fmt.Sprintf("`%s` is newer, and came before an earlier release was back in place.\n\n", short(r.Status.SupersededBy))
	case r.leftAsItFailed():
		return "Automatic rollback is off (`autoRollback: false`): the objects of this release are left as they are, and older pods go on serving as far as they were not replaced yet.\n\n"
	case r.Status.Phase == Failed && wrote:
		return "No earlier good release was put back; the objects are left as they are.\n\n"
	case r.Status.Phase == Failed:
		return "Nothing of the app was changed.\n\n"
	}
	return ""
}

// wrote reports whether a release that failed may have written objects of the
// app: all of them, or a part before it gave up. A try that is refused writes
// none, and a predeploy comes before them.
func (r Release) wrote() bool {
	amidPredeploy := !r.Status.At(StepPredeploying).IsZero() && r.Status.At(StepPredeployed).IsZero()
	gaveUp := r.Status.Cause != nil && r.Status.Cause.Kind == CauseNoProgress && !amidPredeploy
	return gaveUp || !r.Status.At(StepApplied).IsZero()
}

// text holds the details, the way back, and a line that the waiting workflow reads.
func (r Release) text(url string, back int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Release %d · image `%s` · intent `%s`\n\n", r.Number, r.Image, r.Intent)
	b.WriteString(r.origin())
	b.WriteString("| step | after |\n|---|---|\n")
	start := r.Status.At(StepNoticed)
	for _, m := range r.Status.Timeline {
		fmt.Fprintf(&b, "| %s | %s |\n", m.Step, m.At.Sub(start).Round(time.Millisecond))
	}
	if log := r.Status.PredeployLog; log != "" {
		fmt.Fprintf(&b, "\n<details><summary>Last lines of the predeploy command, which ended well</summary>\n\n%s\n\n</details>\n", fenced(log))
	}
	if cause := r.Status.Cause; cause != nil {
		fmt.Fprintf(&b, "\nCause: %s\n", cause.where())
		if cause.Log != "" {
			fmt.Fprintf(&b, "\n<details open><summary>Last lines of %s, container %s</summary>\n\n%s\n\n</details>\n", cause.Pod, cause.Container, fenced(cause.Log))
		}
		if len(cause.Events) > 0 {
			fmt.Fprintf(&b, "\n<details><summary>Events</summary>\n\n%s\n\n</details>\n", fenced(strings.Join(cause.Events, "\n")))
		}
	}
	fmt.Fprintf(&b, "\nLook closer: `kubectl -n %s describe release %s-%d`\n\n", r.Namespace, r.Line.App, r.Number)
	if back != 0 {
		fmt.Fprintf(&b, "Undo: `inhaul rollback %s --environment %s --to %d`, or the workflow input `rollback-to: %d`\n\n", r.Line.App, r.Line.Environment, back, back)
	}
	b.WriteString("GitHub's own *Re-run* button on this check cannot reach the agent, which accepts no traffic: re-run the workflow instead.\n\n")
	b.WriteString(r.marker(url, back).comment())
	return b.String()
}

// where is the kind of a cause, and what showed it.
func (c Cause) where() string {
	told := []string{string(c.Kind)}
	if c.Pod != "" {
		told = append(told, "pod `"+c.Pod+"`")
	}
	if c.Container != "" {
		told = append(told, "container `"+c.Container+"`")
	}
	if c.ExitCode != 0 {
		told = append(told, fmt.Sprintf("exit code %d", c.ExitCode))
	}
	return strings.Join(told, " · ")
}

// origin says who asked for the release, and what let them.
func (r Release) origin() string {
	if r.Evidence.Scheme == requestScheme {
		return fmt.Sprintf("Asked for in the cluster by %s, whom Kubernetes lets do so\n\n", plain(r.Source.Actor))
	}
	return fmt.Sprintf("Run %d, attempt %d, by %s · allowed by policy rule %q · signed by %s\n\n",
		r.Source.RunID, r.Source.RunAttempt, r.Source.Actor, r.Rule, r.Evidence.Scheme)
}

// Marker is what a check run's text tells the waiting workflow.
type Marker struct {
	Release int    `json:"release"`
	Back    int    `json:"back,omitempty"` // the release that served before; a rollback to it is the way back
	URL     string `json:"url,omitempty"`

	// What a rollback to a release brings back, which no workflow knows before.
	Restored int    `json:"restored,omitempty"` // number of the release
	Commit   string `json:"commit,omitempty"`   // whose code it runs
	Image    string `json:"image,omitempty"`    // repository@sha256:…
}

func (r Release) marker(url string, back int) Marker {
	m := Marker{Release: r.Number, Back: back, URL: url}
	if r.Restore != 0 {
		m.Restored, m.Commit, m.Image = r.Restore, r.Commit, r.Image
	}
	return m
}

// comment is the marker as an HTML comment: <!-- inhaul: {…} -->. The JSON
// encoder escapes ">", so nothing in it can end the comment.
func (m Marker) comment() string {
	data, err := json.Marshal(m)
	if err != nil { // numbers and a string always encode
		return ""
	}
	return "<!-- inhaul: " + string(data) + " -->"
}

// count is "1 service", "2 services".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bold is plain text in bold type.
func bold(text string) string { return "**" + plain(text) + "**" }

// plain is text on one line of Markdown, in which nothing of the text is markup.
func plain(text string) string {
	escaped := strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "<", `\<`)
	return escaped.Replace(strings.Join(strings.Fields(text), " "))
}

// fenced is a code block that its content cannot end.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(text, "\n") + "\n" + fence
}

// check is the refusal as a check run shows it.
func (r Refusal) check(v view) Check {
	c := Check{
		Repository: r.Repository, Commit: r.Commit, Name: CheckName(r.Line, r.RepositoryID, v.Apps), ExternalID: r.Intent,
		Status: Completed, Conclusion: ActionRequired, StartedAt: r.At, CompletedAt: r.At,
		Title:   "Denied: " + r.Rule,
		Summary: fmt.Sprintf("%s\n\nNothing was changed. The rules are in the App resource `%s` of the cluster, which the platform owner keeps.", bold(r.Message), r.Line.App),
	}
	if r.Superseded {
		c.Conclusion, c.Title = Neutral, "Superseded"
		if r.SupersededBy != "" {
			c.Title += " by " + short(r.SupersededBy)
		}
		c.Summary = fmt.Sprintf("Not deployed: %s (%s).", r.Message, r.Rule)
	}
	c.Text = fmt.Sprintf("Intent `%s` of run %d", r.Intent, r.RunID)
	return c
}
