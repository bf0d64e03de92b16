package cli

import (
	"fmt"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// readApps reads and parses an inhaul.yaml. Its error is a fault or
// spec.Errors.
func (c Commands) readApps(name string) ([]*spec.File, error) {
	data, err := c.read(name, spec.MaxFileBytes)
	if err != nil {
		return nil, unreadable(shown(name), err,
			"write one (inhaul convert makes one of a Procfile, porter.yaml or serverless.yml), or name another file")
	}
	return spec.ParseAll(shown(name), data)
}

// resolve returns the apps as they are meant in environment. An app without
// that environment is left out, with a warning, if another one of the file has
// it; if none has, that is a fault.
func (c Commands) resolve(name string, files []*spec.File, environment string) ([]spec.App, error) {
	var apps []spec.App
	var without []string
	for _, file := range files {
		app, err := file.Resolve(environment)
		if err != nil { // there is no such environment
			without = append(without, fmt.Sprintf("app %s: %v", file.App, err))
			continue
		}
		apps = append(apps, app)
	}
	if len(apps) == 0 {
		return nil, &fault{
			what: fmt.Sprintf("nothing runs in %q", environment), why: shown(name) + ": " + strings.Join(without, "\n"),
			next: "name one of the file's environments, or declare this one there",
		}
	}
	for _, app := range without {
		c.warn("inhaul: left out: %s\n", app)
	}
	return apps, nil
}
