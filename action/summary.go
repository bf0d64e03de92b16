package action

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// outputs is every output of action.yml and its value; a test compares it.
func outputs(d *deploy) [][2]string {
	release := ""
	if d.marker.Release > 0 {
		release = strconv.Itoa(d.marker.Release)
	}
	_, digest, _ := strings.Cut(d.image, "@")
	return [][2]string{
		{"image", d.image},
		{"digest", digest},
		{"intent", d.intent},
		{"environment", d.environment},
		{"release", release},
		{"url", d.marker.URL},
	}
}

// output sets the step's outputs. The library panics without the runner's file.
func (a *Action) output(d *deploy) {
	if a.Getenv("GITHUB_OUTPUT") == "" {
		return
	}
	for _, o := range outputs(d) {
		a.github().SetOutput(o[0], o[1])
	}
}

// summarize writes the job summary: what was deployed where, and how it went.
func (a *Action) summarize(d *deploy, err error) {
	if a.Getenv("GITHUB_STEP_SUMMARY") == "" {
		return
	}
	a.github().AddStepSummary(summary(d, err))
}

func summary(d *deploy, err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s %s\n\n", headline(d, err), cell(d.app.Name+" → "+d.environment))
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", name, value)
		}
	}
	b.WriteString("| | |\n|---|---|\n")
	if d.marker.Release > 0 {
		row("Release", "#"+strconv.Itoa(d.marker.Release))
	}
	row("Verdict", cell(d.check.Title))
	row("URL", cell(d.marker.URL))
	row("Check", cell(d.check.URL))
	row("Commit", code(d.source.Commit))
	image := code(d.image)
	if image != "" && !d.built {
		image += " (built before)"
	}
	row("Image", image)
	row("Intent", code(d.intent))
	for _, s := range d.steps {
		row("Time to "+s.name, s.took.Round(time.Millisecond).String())
	}
	switch user, mendable := errors.AsType[*UserError](err); {
	case err == nil && d.check.Summary != "":
		b.WriteString("\n" + d.check.Summary + "\n")
	case mendable:
		b.WriteString("\n" + user.Message + "\n\n**Next:** " + user.Next + "\n")
	case err != nil:
		b.WriteString("\n" + err.Error() + "\n")
	}
	return b.String()
}

func headline(d *deploy, err error) string {
	switch {
	case err != nil:
		return "❌ Not deployed:"
	case d.check.Conclusion == "success":
		return "✅ Deployed:"
	case d.check.Status == "completed":
		return "⏭️ Not deployed:"
	}
	return "📨 Published:"
}

// cell keeps text inside one cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ").Replace(text)
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(strings.ReplaceAll(text, "`", "")) + "`"
}
