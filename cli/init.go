package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// initCommand is `inhaul init`.
type initCommand struct {
	Dir             string `arg:"" optional:"" default:"." help:"Root of the repository."`
	App             string `placeholder:"NAME" help:"Name of the app (default: the repository's)."`
	Branch          string `placeholder:"NAME" help:"Branch that is deployed (default: main)."`
	Environment     string `short:"e" placeholder:"NAME" default:"production" help:"Environment that it is deployed to."`
	ImageRepository string `placeholder:"REGISTRY/NAME" help:"Where images are kept (default: ghcr.io/OWNER/NAME)."`
	Registry        string `enum:"auto,ecr,ghcr,other,none" default:"auto" help:"How workflows log in: ecr, ghcr, other, none, or auto by the image repository."`
	AWSRole         string `name:"aws-role" placeholder:"ARN" help:"Role that workflows assume to push to ECR (default: APP-push of the registry's account)."`
	Split           bool   `help:"Build and sign in jobs of their own: what builds cannot sign."`
	GitHubApp       bool   `name:"github-app" help:"The agent has a GitHub App: workflows need not write what it says."`
	Repository      string `placeholder:"OWNER/NAME" help:"The repository on GitHub (default: what origin is)."`
	RepositoryID    int64  `placeholder:"N" help:"GitHub's number of the repository (default: GitHub is asked)."`
	OwnerID         int64  `placeholder:"N" help:"GitHub's number of its owner (default: GitHub is asked)."`
	GitHubURL       string `name:"github-url" placeholder:"URL" help:"GitHub (default: where origin is)."`
	GitHubAPIURL    string `name:"github-api-url" placeholder:"URL" help:"Its REST API, if it is elsewhere than usual."`
	Issuer          string `placeholder:"URL" help:"Issuer of its ID tokens, if it is another than usual."`
	Namespace       string `placeholder:"NAME" default:"${namespace}" help:"Namespace of the agent (default: ${namespace})."`
	Hello           bool   `help:"Write a tiny app to start with, if there is no Dockerfile yet."`
	Force           bool   `help:"Replace files that are there."`
	DryRun          bool   `help:"Print what would be written; write nothing."`
}

// Help is shown by --help.
func (initCommand) Help() string {
	return `Writes what is missing and touches nothing that is there: inhaul.yaml, the workflows deploy.yml,
preview.yml and rollback.yml, and inhaul-app.yaml, the platform owner's word for the cluster.
A Procfile, porter.yaml or serverless.yml takes the place of inhaul.yaml.

Examples:

    inhaul init --dry-run
    inhaul init --hello                 # in an empty repository: an app that says hello, too
    inhaul init --image-repository 123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop
    inhaul init --image-repository registry.example.com/shop --split`
}

// The files that init writes.
const (
	appFile      = "inhaul-app.yaml"
	workflows    = ".github/workflows"
	maxManifest  = 1 << 20 // bytes of a Dockerfile or package.json
	maxGitConfig = 1 << 20 // bytes of .git/config
	maxNext      = 3       // steps that are told at the end
)

// Run writes the files.
func (o initCommand) Run(ctx context.Context, c Commands) error {
	var s setup
	var has func(name string) bool
	if o.Hello && !o.DryRun {
		if err := c.Folders.Make(o.Dir); err != nil {
			return unwritten(shown(o.Dir), err)
		}
	}
	err := c.Files.Read(o.Dir, func(folder fs.FS) (err error) {
		files := plain{FS: folder}
		s, err = o.look(files)
		present := map[string]bool{}
		for _, name := range s.files() {
			_, statErr := files.Stat(name)
			present[name] = statErr == nil
		}
		has = func(name string) bool { return present[name] }
		return err
	})
	if err != nil {
		return o.unread(err)
	}
	if !slices.Contains(s.files(), defaultFile) {
		c.warn("inhaul: %s is deployed as it stands; inhaul convert -o %s makes an %[2]s of it\n", s.described, defaultFile)
	}
	o.number(ctx, c, &s)
	var skipped []string
	for _, name := range s.files() {
		wrote, err := o.file(c, s, name, has(name))
		if err != nil {
			return err
		}
		if !wrote {
			skipped = append(skipped, name)
		}
	}
	o.next(c, s, skipped)
	return nil
}

// file writes one file, unless there is one.
func (o initCommand) file(c Commands, s setup, name string, there bool) (wrote bool, err error) {
	text, err := s.text(name)
	if err != nil {
		return false, err
	}
	at := shown(path.Join(filepath.ToSlash(o.Dir), name))
	switch {
	case there && !o.Force:
		c.warn("inhaul: left %s as it is\n", at)
		return false, nil
	case o.DryRun:
		c.warn("inhaul: would write %s\n", at)
		_, err = fmt.Fprintf(c.Stdout, "=== %s\n%s", at, text)
		return true, err
	}
	where := filepath.Join(o.Dir, filepath.FromSlash(name))
	if err := c.Folders.Make(filepath.Dir(where)); err != nil {
		return false, unwritten(at, err)
	}
	if err := c.Files.Write(where, text, there); err != nil {
		return false, unwritten(at, err)
	}
	c.warn("inhaul: wrote %s\n", at)
	return true, nil
}

// unwritten is the fault of a file that could not be written.
func unwritten(name string, err error) error {
	f := &fault{what: name + " was not written", why: err.Error(), next: "make room for it, and run the command again: what was written stays"}
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		f.why = of.Err.Error()
	}
	return f
}

// unread is the fault of a repository that could not be read.
func (o initCommand) unread(err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok && of.Path == o.Dir {
		return &fault{what: "nothing was written", why: fmt.Sprintf("folder %s: %v", shown(o.Dir), of.Err), next: "name the root of the repository"}
	}
	return unconverted(o.Dir, err)
}

// number asks GitHub for the numbers of the repository and of its owner, unless
// they were given. Without an answer the App has to be filled in by hand.
func (o initCommand) number(ctx context.Context, c Commands, s *setup) {
	s.RepositoryID, s.OwnerID = o.RepositoryID, o.OwnerID
	if s.RepositoryID > 0 && s.OwnerID > 0 || c.GitHub == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := func() (Repository, error) {
		github, err := c.GitHub(s.github.api)
		if err != nil {
			return Repository{}, err
		}
		return github.Repositories.Repository(ctx, s.Repository)
	}()
	switch {
	case err != nil && s.RepositoryID > 0: // which is enough
		return
	case err != nil:
		c.warn("inhaul: the numbers of %s are not known: %v\n", s.Repository, err)
		return
	}
	if strings.EqualFold(found.Name, s.Repository) && word(found.Name) {
		s.Repository = found.Name
	}
	s.RepositoryID, s.OwnerID = cmp.Or(o.RepositoryID, found.ID), cmp.Or(o.OwnerID, found.OwnerID)
}

// next says what is left to do, in at most three steps.
func (o initCommand) next(c Commands, s setup, skipped []string) {
	if o.DryRun {
		return
	}
	var steps []string
	if prepare := s.prepare(skipped); prepare != "" {
		steps = append(steps, prepare)
	}
	if !slices.Contains(skipped, appFile) {
		apply := "kubectl apply -f " + shown(path.Join(filepath.ToSlash(o.Dir), appFile))
		if s.RepositoryID == 0 {
			apply = fmt.Sprintf("put GitHub's numbers where %s says FILL-IN, then: %s", appFile, apply)
		}
		steps = append(steps, apply)
	}
	branch := s.DefaultBranches()[0]
	steps = append(steps, fmt.Sprintf(`git add -A && git commit -m "Deploy with Inhaul" && git push origin %s`, branch))
	c.warn("\nnext:\n")
	for i, step := range steps[max(0, len(steps)-maxNext):] {
		c.warn("  %d. %s\n", i+1, strings.ReplaceAll(step, "\n", "\n     "))
	}
}
