package spec

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// previewEnvironment is the environment that says what every preview of a pull
// request says differently. A preview itself is called pr-N.
const previewEnvironment = "preview"

var previewName = regexp.MustCompile(`^pr-[1-9][0-9]{0,9}$`)

// NoPreviewLabel is the label that keeps a pull request without a preview.
const NoPreviewLabel = "no-preview"

// PreviewNumber is the pull request that environment is a preview of; false if it
// is none.
func PreviewNumber(environment string) (number int, is bool) {
	if !previewName.MatchString(environment) {
		return 0, false
	}
	number, err := strconv.Atoi(strings.TrimPrefix(environment, "pr-"))
	return number, err == nil
}

// Resolve returns the app as it is meant in environment: overrides applied,
// defaults filled in, services sorted by name. Of two values for one variable,
// whether in env or in secrets, the more special wins: the file's, then the
// service's, then the environment's, then the one of the service in the
// environment. What means the same resolves to the same App. The result shares
// no memory with f.
//
// A preview of a pull request is called pr-N. It is resolved for the environment
// "preview" if the file has that, and for none otherwise. It alone has
// databases, seed and teardown; the variables of its databases take the place of
// all others of these names; and it has no domains, which all previews would
// have to share.
func (f *File) Resolve(environment string) (App, error) {
	if previewName.MatchString(environment) {
		return f.preview(), nil
	}
	environments := f.environments()
	e, ok := environments[environment]
	if !ok {
		known := sortedKeys(environments)
		return App{}, fmt.Errorf("unknown environment %q%s: the file has %s",
			environment, didYouMean(environment, known), strings.Join(known, ", "))
	}
	return f.resolve(e, nil), nil
}

// preview returns the app as it is meant in a preview of a pull request.
func (f *File) preview() App {
	databases, variables := f.databases()
	app := f.resolve(f.Environments[previewEnvironment], variables)
	app.Databases = databases
	common := variablesOf{}.with(f.Env, f.Secrets).with(f.Environments[previewEnvironment].Env, f.Environments[previewEnvironment].Secrets).lacking(variables)
	app.Seed = f.Seed.task(common)
	app.Teardown = f.Teardown.task(common)
	for i := range app.Services {
		app.Services[i].Domains = nil
	}
	return app
}

// resolve returns what every environment has of the app; taken are variables
// that get their values elsewhere.
func (f *File) resolve(e Environment, taken []string) App {
	app := App{Name: f.App, Buildpacks: f.Build.Method == BuildBuildpacks}
	if on := said(f.AutoRollback, e.AutoRollback); on != nil {
		app.KeepFailed = !*on
	}
	for _, name := range sortedKeys(f.Services) {
		if !e.has(name) {
			continue
		}
		d, over := f.Services[name], e.Services[name]
		s := d.with(over.Settings).service(name, d.Type)
		v := variablesOf{}.with(f.Env, f.Secrets).with(d.Env, d.Secrets).with(e.Env, e.Secrets).with(over.Env, over.Secrets).lacking(taken)
		s.Env, s.Secrets = v.env, v.secrets
		app.Services = append(app.Services, s)
	}
	predeploy := f.Predeploy
	if e.Predeploy != nil {
		var all TaskSettings
		if predeploy != nil {
			all = *predeploy
		}
		all = all.with(*e.Predeploy)
		predeploy = &all
	}
	app.Predeploy = predeploy.task(variablesOf{}.with(f.Env, f.Secrets).with(e.Env, e.Secrets).lacking(taken))
	return app
}

// merged returns the union of levels, in which later ones win; nil if it is
// empty.
func merged(levels ...map[string]string) map[string]string {
	var all map[string]string
	for _, level := range levels {
		if len(level) == 0 {
			continue
		}
		if all == nil {
			all = make(map[string]string)
		}
		maps.Copy(all, level)
	}
	return all
}
