package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/spec"
	"github.com/inhaul/inhaul/spec/convert"
)

// maxApps is how many apps one run deploys at most.
const maxApps = 50

// declared is one app that the repository declares.
type declared struct {
	config string // path in the repository of its inhaul.yaml, or of where it would be
	file   *spec.File
}

// readApps reads every app that the config input leads to, sorted by name. A
// repository without inhaul.yaml is read as its Procfile, porter.yaml or
// serverless.yml says.
func (a *Action) readApps(in Inputs) ([]declared, error) {
	var all []declared
	var mistakes spec.Errors // of all files together
	for _, config := range in.Configs {
		files, err := a.readSpec(config)
		if errors.Is(err, fs.ErrNotExist) && len(in.Configs) == 1 {
			files, err = a.convert(config)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, userError("there is no "+config+" in the repository",
				"write one, name it in the config input, and let actions/checkout be a step before")
		}
		if more, ok := errors.AsType[spec.Errors](err); ok {
			mistakes = append(mistakes, more...)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			all = append(all, declared{config, file})
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	slices.SortStableFunc(all, func(x, y declared) int { return cmp.Compare(x.file.App, y.file.App) })
	for i := 1; i < len(all); i++ {
		if all[i].file.App == all[i-1].file.App {
			return nil, userError(fmt.Sprintf("both %s and %s declare an app %q", all[i-1].config, all[i].config, all[i].file.App), "rename one of them")
		}
	}
	if len(all) > maxApps {
		return nil, userError(fmt.Sprintf("the repository declares %d apps, want at most %d", len(all), maxApps), "name fewer files in the config input")
	}
	return all, nil
}

// convert reads the app as another platform's files describe it. fs.ErrNotExist
// says that there are none.
func (a *Action) convert(config string) ([]*spec.File, error) {
	folder, err := fs.Sub(a.Files, path.Dir(config))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path.Dir(config), err)
	}
	if !convert.Present(folder) {
		return nil, fs.ErrNotExist
	}
	repository := a.Getenv("GITHUB_REPOSITORY")
	result, err := convert.Named(folder, repository[strings.LastIndexByte(repository, '/')+1:])
	if mistakes, ok := errors.AsType[spec.Errors](err); ok { // with files of that folder
		for i := range mistakes {
			mistakes[i].File = path.Join(path.Dir(config), mistakes[i].File)
		}
	}
	if err != nil {
		return nil, err
	}
	gh := a.github()
	gh.Group("No " + config + ": read " + strings.Join(result.From, " and ") + " as")
	a.infof("%s", result.YAML)
	gh.EndGroup()
	if len(result.Unmapped) > 0 {
		gh.Group(fmt.Sprintf("%d settings there mean nothing here, or need you", len(result.Unmapped)))
		for _, unmapped := range result.Unmapped {
			a.infof("%s", unmapped.String())
		}
		gh.EndGroup()
	}
	files, err := spec.ParseAll(config, result.YAML)
	if err != nil {
		return nil, fmt.Errorf("reading what %s was converted to: %w", strings.Join(result.From, " and "), err)
	}
	for _, file := range files {
		file.Path = "" // the repository has none of its lines
	}
	return files, nil
}

// chosen are the apps that the app input names; all without it.
func chosen(in Inputs, all []declared) ([]declared, error) {
	var names []string
	for _, d := range all {
		names = append(names, d.file.App)
	}
	for _, name := range in.Apps {
		if !slices.Contains(names, name) {
			return nil, userError(fmt.Sprintf("input app: there is no app %q: the repository has %s", name, strings.Join(names, ", ")), "correct `with:` in the workflow")
		}
	}
	if len(in.Apps) > 0 {
		all = slices.DeleteFunc(slices.Clone(all), func(d declared) bool { return !slices.Contains(in.Apps, d.file.App) })
	}
	if in.Images != nil {
		return signed(in, all, names)
	}
	if in.Image != "" && len(all) > 1 {
		return nil, userError("the image input names one image, and the repository has the apps "+strings.Join(names, ", "), "choose one with the app input")
	}
	return all, nil
}

// signed are the apps that have an image to sign.
func signed(in Inputs, all []declared, names []string) ([]declared, error) {
	for _, name := range slices.Sorted(maps.Keys(in.Images)) {
		if !slices.Contains(names, name) {
			return nil, userError(fmt.Sprintf("input images: there is no app %q: the repository has %s", name, strings.Join(names, ", ")),
				"let both jobs check out the same commit and have the same inputs config and app")
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(d declared) bool { return in.Images[d.file.App] == "" }), nil
}

// planDeploys makes a deploy of every app that the event means, and says why the
// others are left as they are.
func (a *Action) planDeploys(ctx context.Context, d deploy, asked request, e event, o *outcome) error {
	all, err := a.readApps(d.inputs)
	if err != nil {
		return err
	}
	apps, err := chosen(d.inputs, all)
	if err != nil {
		return err
	}
	changed, known := []string(nil), false
	if d.inputs.Images == nil && slices.ContainsFunc(apps, func(app declared) bool { return len(app.file.Paths) > 0 }) {
		changed, known = a.changedFiles(ctx, e, d.source)
	}
	for _, app := range apps {
		one := d
		one.config, one.file, one.several = app.config, app.file, len(all) > 1
		if one.environment = asked.environment; one.environment == "" {
			var ok bool
			if one.environment, ok = app.file.Environment(asked.ref); !ok {
				o.left = append(o.left, left{app.file.App, fmt.Sprintf("%s deploys %s nowhere: no environment of %s has this branch", quiet(asked.ref), app.file.App, app.config)})
				continue
			}
		}
		if known && !app.file.Affected(changed) {
			o.left = append(o.left, left{app.file.App, fmt.Sprintf("%s is left as it is: the push changes nothing that its paths in %s name", app.file.App, app.config)})
			continue
		}
		if one.app, err = app.file.Resolve(one.environment); err != nil {
			return userError(err.Error(), "check the environment input and environments in "+app.config)
		}
		if image, ok := d.inputs.Images[app.file.App]; ok {
			one.inputs.Image = image
			one.inputs.ImageRepository = cmp.Or(d.inputs.ImageRepository, repositoryOf(image))
		}
		one.images, one.intents = repositories(one.inputs, app.file.App, one.several)
		o.deploys = append(o.deploys, &one)
	}
	for _, l := range o.left {
		a.github().Noticef("%s", l.why)
	}
	return nil
}

// repositories are where the images and the intents of an app belong. Apps that
// share a repository of code have a repository of images each.
func repositories(in Inputs, app string, several bool) (images, intents string) {
	images, intents = in.ImageRepository, in.IntentsRepository
	if several && images != "" && images != repositoryOf(in.Image) { // which is the app's own
		images += "/" + app
	}
	if intents == "" && images == "" { // a dry run that was not told
		return "", ""
	}
	if intents == "" {
		return images, images + "-intents"
	}
	if several {
		intents += "/" + app
	}
	return images, intents
}
