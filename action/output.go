package action

import (
	"encoding/json"
	"strconv"
	"strings"
)

// outputs is every output of action.yml that names one thing, and its value; a
// test compares it.
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
		{"verdict", d.check.Conclusion},
	}
}

// The outputs that are about all apps.
const (
	outputApps = "apps"
	outputPlan = "plan"
)

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
func (a *Action) output(o outcome) {
	if a.Getenv("GITHUB_OUTPUT") == "" {
		return
	}
	if len(o.deploys) == 1 {
		for _, output := range outputs(o.deploys[0]) {
			a.github().SetOutput(output[0], output[1])
		}
	}
	apps := make([]appOutput, 0, len(o.deploys))
	for _, d := range o.deploys {
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
	if o.plan != "" {
		a.github().SetOutput(outputPlan, o.plan)
	}
}
