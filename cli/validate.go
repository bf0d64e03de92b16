package cli

import (
	"fmt"
	"iter"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// validateCommand is `inhaul validate`.
type validateCommand struct {
	Files       []string `arg:"" optional:"" name:"file" default:"inhaul.yaml" help:"What to check; - is standard input (default inhaul.yaml)."`
	Environment string   `short:"e" placeholder:"NAME" help:"Look at this environment alone; pr-N is a preview."`
}

// Help is shown by --help.
func (validateCommand) Help() string {
	return `Every mistake is told at once, as FILE:LINE:COLUMN: what is wrong. Without one, each app and
environment gets a line that says what runs there.

Examples:

    inhaul validate
    inhaul validate services/*/inhaul.yaml
    inhaul validate --environment pr-1`
}

// Run checks the files.
func (o validateCommand) Run(c Commands) error {
	var wrong []error
	var lines []string
	for _, name := range o.Files {
		files, err := c.readApps(name)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		summary, err := o.summaries(c, name, files)
		lines = append(lines, summary...)
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	if len(wrong) == 0 {
		_, err := fmt.Fprintln(c.Stdout, strings.Join(lines, "\n"))
		return err
	}
	// The last one is told by the caller.
	for _, err := range wrong[:len(wrong)-1] {
		c.tell(err)
	}
	return wrong[len(wrong)-1]
}

// summaries returns a line for each app and environment.
func (o validateCommand) summaries(c Commands, name string, files []*spec.File) ([]string, error) {
	var lines []string
	if o.Environment != "" {
		apps, err := c.resolve(name, files, o.Environment)
		for _, app := range apps {
			lines = append(lines, line(name, o.Environment, app))
		}
		return lines, err
	}
	for _, file := range files {
		for label, environment := range environments(file) {
			apps, err := c.resolve(name, []*spec.File{file}, environment)
			if err != nil {
				return nil, err
			}
			lines = append(lines, line(name, label, apps[0]))
		}
	}
	return lines, nil
}

// preview is what spec calls the environment of all previews.
const preview = "preview"

// environments yields where the app runs: what people call it, and what spec
// does. Previews come last, for all pull requests at once, if the file says
// anything of them.
func environments(file *spec.File) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		previews := len(file.Databases) > 0 || file.Seed != nil || file.Teardown != nil
		for _, name := range file.EnvironmentNames() {
			if name == preview {
				previews = true
				if len(file.Environments[name].Branches) == 0 {
					continue
				}
			}
			if !yield(name, name) {
				return
			}
		}
		if previews {
			yield("pr-N", "pr-1")
		}
	}
}

func line(name, environment string, app spec.App) string {
	return fmt.Sprintf("%s: %s in %s: %s", shown(name), app.Name, environment, summary(app))
}

// summary says in one line what runs.
func summary(a spec.App) string {
	var parts []string
	for _, s := range a.Services {
		part := s.Name
		switch {
		case s.Type == spec.Job && s.Schedule.Cron == "":
			part += " by hand"
		case s.Type == spec.Job:
			part += strings.TrimRight(fmt.Sprintf(" at %q %s", s.Schedule.Cron, s.Schedule.Timezone), " ")
		case s.Scale.Scales():
			part += fmt.Sprintf(" ×%d–%d", s.Scale.Min, s.Scale.Max)
		default:
			part += fmt.Sprintf(" ×%d", s.Replicas)
		}
		if len(s.Domains) > 0 {
			part += " (" + strings.Join(s.Domains, ", ") + ")"
		}
		parts = append(parts, part)
	}
	if a.Predeploy != nil {
		parts = append(parts, "predeploy")
	}
	for _, d := range a.Databases {
		parts = append(parts, d.Type+" "+d.Name)
	}
	return strings.Join(parts, ", ")
}
