package action

import (
	"cmp"
	"encoding/json"
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

// appOutput is an app in the output apps.
type appOutput struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Image       string `json:"image"`
	Intent      string `json:"intent"`
	Release     int    `json:"release,omitempty"`
	URL         string `json:"url,omitempty"`
	Verdict     string `json:"verdict,omitempty"` // the check's conclusion
}

// output sets the step's outputs: those that name one thing only if one app is
// deployed. The library panics without the runner's file.
func (a *Action) output(deploys []*deploy) {
	if a.Getenv("GITHUB_OUTPUT") == "" {
		return
	}
	if len(deploys) == 1 {
		for _, o := range outputs(deploys[0]) {
			a.github().SetOutput(o[0], o[1])
		}
	}
	apps := make([]appOutput, 0, len(deploys))
	for _, d := range deploys {
		apps = append(apps, appOutput{
			App: d.app.Name, Environment: d.environment, Image: d.image, Intent: d.intent,
			Release: d.marker.Release, URL: d.marker.URL, Verdict: d.check.Conclusion,
		})
	}
	data, err := json.Marshal(apps)
	if err != nil {
		panic("action: strings do not encode: " + err.Error()) // they always do
	}
	a.github().SetOutput(outputApps, string(data))
}

// outputApps is the output that has every deployed app.
const outputApps = "apps"

// summarize writes the job summary: what was deployed where, and how it went. An
// error that belongs to no single app is told once.
func (a *Action) summarize(deploys []*deploy, err error) {
	if a.Getenv("GITHUB_STEP_SUMMARY") == "" {
		return
	}
	for _, d := range deploys {
		failure := d.failure
		if failure == nil && err != nil && d.intent == "" {
			failure = errors.New("not published, because another app of the repository failed")
		}
		a.github().AddStepSummary(summary(d, failure))
	}
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
	row("Commit", code(cmp.Or(d.marker.Commit, d.source.Commit)))
	image := code(d.image)
	if d.marker.Restored > 0 {
		row("Brought back", "release #"+strconv.Itoa(d.marker.Restored))
	}
	if d.marker.Back > 0 {
		row("Undo", code("rollback-to: "+strconv.Itoa(d.marker.Back)))
	}
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
	done := "deployed"
	if d.inputs.RollbackTo != "" {
		done = "rolled back"
	}
	switch {
	case err != nil:
		return "❌ Not " + done + ":"
	case d.check.Conclusion == "success":
		return "✅ " + strings.ToUpper(done[:1]) + done[1:] + ":"
	case d.check.Status == "completed":
		return "⏭️ Not " + done + ":"
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
