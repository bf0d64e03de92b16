package action

import (
	"context"
	"slices"

	"github.com/inhaul/inhaul/spec"
)

// planDestroy makes a destroy of every app that the repository may have in the
// environment.
func (a *Action) planDestroy(ctx context.Context, d deploy, asked request) ([]*deploy, error) {
	if d.inputs.ImageRepository == "" && d.inputs.IntentsRepository == "" && !d.inputs.DryRun {
		return nil, userError("input image-repository: missing: want the app's image repository, or its intents-repository", "correct `with:` in the workflow")
	}
	apps, shared, err := a.doomed(d.inputs)
	if err != nil {
		return nil, err
	}
	d.inputs.Image, d.environment = "", asked.environment
	var destroys []*deploy
	for _, app := range apps {
		one := d
		one.config, one.file, one.app = app.config, app.file, spec.App{Name: app.file.App}
		a.findIntents(ctx, &one, shared)
		destroys = append(destroys, &one)
	}
	return destroys, nil
}

// doomed are the apps to destroy; shared says whether they share their repository,
// the likelier answer first. Code that is gone or broken by now keeps no preview
// alive: then the app input says which apps there are.
func (a *Action) doomed(in Inputs) (apps []declared, shared []bool, err error) {
	all, err := a.readApps(in)
	if err == nil {
		in.Image, in.Images = "", nil // which say nothing of what goes away
		apps, err = chosen(in, all)
		return apps, []bool{len(all) > 1}, err
	}
	if len(in.Apps) == 0 {
		return nil, nil, userError("which apps have this preview cannot be told:\n"+messageOf(err),
			"name them in the app input, which is enough to destroy")
	}
	a.infof("the apps are those of the input app, since the repository does not say which it has:\n%s", messageOf(err))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(in.Apps))) {
		apps = append(apps, declared{in.Configs[0], &spec.File{App: name}})
	}
	return apps, []bool{len(apps) > 1, len(apps) <= 1}, nil
}

// findIntents learns where the environment's intents are, and whether there is
// anything to destroy. A destroy is published in any case, because a build that is
// still going on may publish later; but nobody waits for an answer about nothing.
func (a *Action) findIntents(ctx context.Context, d *deploy, shared []bool) {
	d.fresh = true
	for i, several := range shared {
		images, intents := repositories(d.inputs, d.app.Name, several)
		if i == 0 {
			d.images, d.intents, d.several = images, intents, several
		}
		if intents == "" { // a dry run that was not told
			return
		}
		tags, err := a.Intents.Tags(ctx, intents, d.environment)
		if err != nil {
			a.infof("what was published for %s cannot be told: %s", d.environment, err)
			d.fresh = false
			return
		}
		if len(tags) > 0 {
			d.images, d.intents, d.several, d.fresh = images, intents, several, false
			return
		}
	}
	a.infof("nothing was ever published for %s in %s: the destroy is not waited for", d.app.Name, d.environment)
}
