package action

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

const (
	// maxStepSummary is below what GitHub takes of one step, 1 MiB.
	// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits
	maxStepSummary = 1000 << 10
	// maxMistakes is how many mistakes of a description the summary lists.
	maxMistakes = 50
)

// The signs that begin a summary.
const (
	signDone    = "✅"
	signFailed  = "❌"
	signDenied  = "🚫"
	signNothing = "⏭️"
	signWaiting = "📨"
	signPlan    = "📝"
)

// errOther is why an app was not published though nothing is wrong with it.
var errOther = errors.New("not published, because another app of the repository failed")

// summarize writes the job summary: what happened, why, and what to do next.
func (a *Action) summarize(o outcome) {
	if a.Getenv("GITHUB_STEP_SUMMARY") == "" {
		return
	}
	text := summary(o)
	if len(text) > maxStepSummary { // GitHub would drop all of it
		text = strings.ToValidUTF8(text[:maxStepSummary], "") + "\n\n…\n"
	}
	a.github().AddStepSummary(text)
}

func summary(o outcome) string {
	if o.err != nil {
		for _, d := range o.deploys {
			if d.failure == nil && d.intent == "" && o.inputs.signs() {
				d.failure = errOther
			}
		}
	}
	switch {
	case o.idle != nil:
		return idleSummary(*o.idle)
	case len(o.deploys) == 0 && o.err != nil:
		return fmt.Sprintf("### %s Not %s%s\n\n%s", signFailed, o.verb(), mistakesIn(o.err), failureText(o.err))
	case len(o.deploys) == 0:
		return leftSummary(o)
	case o.plan != "":
		return fmt.Sprintf("### %s Plan: nothing is published\n\n%s%s", signPlan, o.plan, leftTable(o.left))
	case len(o.deploys) == 1 && len(o.left) == 0:
		d := o.deploys[0]
		return fmt.Sprintf("### %s %s: %s → %s\n\n%s", d.sign(), d.did(), cell(d.app.Name), cell(d.environment), d.details())
	}
	return severalSummary(o)
}

func idleSummary(i idle) string {
	text := fmt.Sprintf("### %s %s\n", signNothing, sentence(prose(i.what)))
	if i.why != "" {
		text += "\n" + stopped(sentence(prose(i.why))) + "\n"
	}
	return text + nextText(i.next)
}

// severalSummary has a table over all apps, and what there is to say of each
// behind a fold.
func severalSummary(o outcome) string {
	var b strings.Builder
	failed := 0
	for _, d := range o.deploys {
		if d.failure != nil {
			failed++
		}
	}
	if all := len(o.deploys); failed > 0 {
		fmt.Fprintf(&b, "### %s %d of %d apps not %s\n\n", signFailed, failed, all, o.verb())
	} else {
		fmt.Fprintf(&b, "### %s %d %s %s\n\n", o.deploys[0].sign(), all, plural(all, "app"), o.verb())
	}
	b.WriteString("| how | app | environment | release | verdict | URL |\n|---|---|---|---|---|---|\n")
	for _, d := range o.deploys {
		verdict := cmp.Or(d.check.Title, firstLine(d.failure))
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", d.sign(), cell(d.app.Name), cell(d.environment), d.release(), cell(verdict), link(d.marker.URL))
	}
	for _, l := range o.left {
		fmt.Fprintf(&b, "| %s | %s | | | %s | |\n", signNothing, cell(l.app), cell(l.why))
	}
	for _, d := range o.deploys {
		b.WriteString("\n" + fold(d.sign()+" "+cell(d.app.Name+" → "+d.environment), d.details()))
	}
	return b.String()
}

func leftSummary(o outcome) string {
	return fmt.Sprintf("### %s Nothing to deploy\n%s\n**Next:** nothing. The branches of each environment, and the paths of each app, are in its description.\n", signNothing, leftTable(o.left))
}

func leftTable(all []left) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n| app | why it is left as it is |\n|---|---|\n")
	for _, l := range all {
		b.WriteString("| " + cell(l.app) + " | " + cell(l.why) + " |\n")
	}
	return b.String()
}

// details are the facts of one deploy, what the agent says, and what is next.
func (d *deploy) details() string {
	facts, told := d.facts(), d.told()
	switch {
	case told == "":
		return facts
	case d.failure != nil: // the cause first
		return told + "\n" + facts
	}
	return facts + "\n" + told
}

func (d *deploy) facts() string {
	var facts rows
	facts.add("Release", d.release())
	facts.add("Verdict", cell(d.check.Title))
	facts.add("URL", link(d.marker.URL))
	facts.add("Check", link(d.check.URL))
	if d.source.PullRequest > 0 {
		facts.add("Pull request", "#"+strconv.Itoa(d.source.PullRequest))
	}
	facts.add("Commit", code(cmp.Or(d.marker.Commit, d.commit())))
	if d.marker.Restored > 0 {
		facts.add("Brought back", "release #"+strconv.Itoa(d.marker.Restored))
	}
	if d.marker.Back > 0 {
		facts.add("Undo", code("rollback-to: "+strconv.Itoa(d.marker.Back)))
	}
	image := code(d.image)
	if image != "" && !d.built {
		image += " (built before)"
	}
	facts.add("Image", image)
	facts.add("Intent", code(d.intent))
	var times []string
	for _, s := range d.steps {
		times = append(times, s.name+" "+s.took.Round(time.Millisecond).String())
	}
	facts.add("Time", strings.Join(times, ", "))
	return facts.String()
}

// told is what the agent says, or why there is nothing from it, and what is next.
func (d *deploy) told() string {
	said := ""
	if d.check.Status == "completed" && d.check.Summary != "" {
		said = contained(d.check.Summary)
	}
	user, mendable := errors.AsType[*UserError](d.failure)
	switch {
	case d.failure == nil:
		return said + d.next()
	case said == "":
		return failureText(d.failure)
	case mendable && !strings.Contains(said, nextMark):
		return said + nextText(user.Next)
	}
	return said
}

// nextText is the paragraph that says what to do.
func nextText(next string) string {
	if next == "" {
		return ""
	}
	return "\n**Next:** " + stopped(prose(next)) + "\n"
}

// stopped ends words as a sentence.
func stopped(words string) string {
	if strings.HasSuffix(words, "?") || strings.HasSuffix(words, ".") {
		return words
	}
	return words + "."
}

// next says what to do after a run that ended well without a verdict.
func (d *deploy) next() string {
	switch {
	case d.check.Status == "completed":
		return ""
	case d.inputs.Mode == modeBuild:
		return "**Next:** a job with `mode: sign` and `images: ${{ needs.build.outputs.apps }}` deploys it.\n"
	case d.fresh:
		return "Nothing was ever published for it, so nobody waits. A destroy is published all the same: a build may still be on its way.\n"
	case d.intent != "":
		return "**Next:** the agent takes it from here, and says on the commit how it goes.\n"
	}
	return ""
}

func (d *deploy) release() string {
	if d.marker.Release == 0 {
		return ""
	}
	return "#" + strconv.Itoa(d.marker.Release)
}

// sign begins a summary of d.
func (d *deploy) sign() string {
	switch {
	case d.failure != nil && d.check.Status == "completed" && d.check.Conclusion == "action_required":
		return signDenied
	case d.failure != nil:
		return signFailed
	case d.check.Conclusion == "success" || d.inputs.Mode == modeBuild:
		return signDone
	case d.check.Status == "completed" || d.fresh:
		return signNothing
	}
	return signWaiting
}

// did says how it went, in the first word or two.
func (d *deploy) did() string {
	done := verb(d.inputs.Mode, d.kind)
	switch sign := d.sign(); {
	case sign == signDone:
		return sentence(done)
	case sign == signWaiting:
		return "Published"
	case d.failure != nil && d.intent != "" && d.check.Status != "completed":
		return "No verdict" // the agent may go on
	case d.failure == nil && d.fresh:
		return "Nothing to destroy"
	}
	return "Not " + done
}

func (o outcome) verb() string {
	kind := intent.Deploy
	if o.inputs.RollbackTo != "" {
		kind = intent.Rollback
	}
	if len(o.deploys) > 0 {
		kind = o.deploys[0].kind
		published := slices.ContainsFunc(o.deploys, func(d *deploy) bool { return d.sign() == signWaiting })
		if o.err == nil && published {
			return "published"
		}
	}
	return verb(o.inputs.Mode, kind)
}

func verb(mode string, kind intent.Kind) string {
	switch {
	case mode == modeBuild:
		return "built"
	case kind == intent.Rollback:
		return "rolled back"
	case kind == intent.Destroy:
		return "destroyed"
	}
	return "deployed"
}

// failureText says why, and what to do next.
func failureText(err error) string {
	if mistakes, ok := errors.AsType[spec.Errors](err); ok {
		return mistakesText(mistakes)
	}
	if user, ok := errors.AsType[*UserError](err); ok {
		return message(user.Message) + nextText(user.Next)
	}
	if errors.Is(err, errOther) {
		return prose(sentence(err.Error())) + ".\n"
	}
	return message(err.Error()) + "\n**Next:** run the job again. This is no mistake of yours that we know of; if it stays, tell us, with the log.\n"
}

func mistakesText(mistakes spec.Errors) string {
	var b strings.Builder
	b.WriteString("| where | what |\n|---|---|\n")
	for _, m := range mistakes[:min(len(mistakes), maxMistakes)] {
		fmt.Fprintf(&b, "| %s | %s |\n", code(fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Column)), cell(m.Message))
	}
	if more := len(mistakes) - maxMistakes; more > 0 {
		fmt.Fprintf(&b, "\n%d more are in the log.\n", more)
	}
	return b.String() + "\n**Next:** correct these, and push. `inhaul validate` finds them before a push does.\n"
}

func mistakesIn(err error) string {
	mistakes, ok := errors.AsType[spec.Errors](err)
	if !ok {
		return ""
	}
	files := map[string]bool{}
	for _, m := range mistakes {
		files[m.File] = true
	}
	where := cell(mistakes[0].File)
	if len(files) > 1 {
		where = fmt.Sprintf("%d files", len(files))
	}
	return fmt.Sprintf(": %d %s in %s", len(mistakes), plural(len(mistakes), "mistake"), where)
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	first, _, _ := strings.Cut(messageOf(err), "\n")
	return first
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// sentence makes words begin with a capital letter.
func sentence(words string) string {
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
