package action

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
	"github.com/inhaul/inhaul/spec/convert"
)

// commitShape is a whole commit, as the agent tells it.
var commitShape = regexp.MustCompile(`\A[0-9a-f]{40}\z`)

// rollbackTarget takes the words that an intent can say.
func rollbackTarget(value string, into *string) error {
	if value == "" {
		return nil
	}
	var p intent.Predicate
	if err := p.RollBackTo(value); err != nil {
		return err
	}
	*into = value
	return nil
}

// completeRollback returns what does not go with a rollback.
func (in *Inputs) completeRollback() (problems []error) {
	if in.Mode == modeBuild {
		problems = append(problems, errors.New("input mode: a rollback builds nothing: leave out mode, or rollback-to"))
	}
	if in.Image != "" {
		problems = append(problems, errors.New("input image: a rollback brings back the image of its release: leave out image, or rollback-to to deploy it"))
	}
	if in.Force {
		problems = append(problems, errors.New("input force: a rollback is deliberate already, and needs the rule's allowRollback instead: leave out force"))
	}
	if in.ImageRepository == "" && in.IntentsRepository == "" {
		problems = append(problems, errors.New("input image-repository: missing: want the app's image repository, or its intents-repository"))
	}
	return problems
}

// planRollback makes a rollback of every app that is meant. inhaul.yaml says which
// they are and where they belong; where it is not checked out, app and environment
// do. It is not asked what it would deploy: that is not what comes back.
func (a *Action) planRollback(d deploy, asked request) ([]*deploy, error) {
	apps, several, err := a.rollbackApps(d.inputs)
	if err != nil {
		return nil, err
	}
	var target intent.Predicate
	if err := target.RollBackTo(d.inputs.RollbackTo); err != nil {
		return nil, err
	}
	if target.RollbackTo != 0 && len(apps) > 1 {
		return nil, userError("input rollback-to: release "+d.inputs.RollbackTo+" is another one for each app", "choose one with the app input, or name a commit or previous")
	}
	var rollbacks []*deploy
	for _, app := range apps {
		one := d
		one.config, one.file, one.several = app.config, app.file, several
		one.environment, one.app = asked.environment, spec.App{Name: app.file.App}
		if one.environment == "" {
			var ok bool
			if one.environment, ok = app.file.Environment(asked.ref); !ok {
				return nil, userError("no environment of "+app.config+" has the branch of "+quiet(d.source.Ref), "say which one to roll back with the environment input")
			}
		}
		one.images, one.intents = repositories(d.inputs, app.file.App, several)
		rollbacks = append(rollbacks, &one)
	}
	return rollbacks, nil
}

// rollbackApps are the apps to roll back, and whether the repository has others.
func (a *Action) rollbackApps(in Inputs) (apps []declared, several bool, err error) {
	if a.hasSpec(in) {
		all, err := a.readApps(in)
		if err != nil {
			return nil, false, err
		}
		apps, err = chosen(in, all)
		return apps, len(all) > 1, err
	}
	if len(in.Apps) == 0 || in.Environment == "" {
		return nil, false, userError("there is no "+in.Configs[0]+" in the repository to say which app and environment to roll back",
			"give the inputs app and environment, or let actions/checkout be a step before")
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(in.Apps))) {
		apps = append(apps, declared{in.Configs[0], &spec.File{App: name}})
	}
	return apps, len(apps) > 1, nil
}

// hasSpec reports whether the repository is checked out as far as it matters: there
// is a file that declares an app.
func (a *Action) hasSpec(in Inputs) bool {
	if slices.ContainsFunc(in.Configs, func(config string) bool { _, err := fs.Stat(a.Files, config); return err == nil }) {
		return true
	}
	folder, err := fs.Sub(a.Files, path.Dir(in.Configs[0]))
	return err == nil && len(in.Configs) == 1 && convert.Present(folder)
}
