package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// planCommand is `inhaul plan`.
type planCommand struct {
	File        string `arg:"" optional:"" default:"inhaul.yaml" help:"The description; - is standard input (default inhaul.yaml)."`
	Environment string `short:"e" required:"" placeholder:"NAME" help:"Where the release would go; pr-N is a preview."`
	Against     string `placeholder:"FILE|cluster" help:"What to compare with: a Release as JSON (- is standard input), or what serves in the cluster now. Without it everything is new."`
	Image       string `placeholder:"IMAGE" help:"The image that the release would run; without it images are not compared."`
	App         string `placeholder:"NAME" help:"This app alone, of a file with several."`
	Format      string `enum:"text,markdown" default:"text" help:"text, or markdown: a table for a comment, at most 65,000 characters."`
	ExitCode    bool   `help:"End with 3 if something would change."`

	Cluster Connection `embed:"" group:"With --against cluster:"`
}

// Connection says which cluster is asked, and where its agent lives.
type Connection struct {
	Kubeconfig string `placeholder:"FILE" help:"How to reach the cluster (default: KUBECONFIG, or ~/.kube/config)."`
	Context    string `placeholder:"NAME" help:"Context of the kubeconfig (default: its current one)."`
	Namespace  string `placeholder:"NAME" default:"${namespace}" help:"Namespace of the agent and its Apps, ${namespace} by default; INHAUL_NAMESPACE sets it too."`
}

// Help is shown by --help.
func (planCommand) Help() string {
	return `Nothing is changed anywhere. Values of environment variables are shown, secrets only as the
references that they are.

Examples:

    inhaul plan -e production
    inhaul plan -e production --against cluster --image registry.example.com/shop@sha256:...
    kubectl get release shop-12 -n shop-production -o json | inhaul plan -e production --against -
    inhaul plan -e staging --against release.json --format markdown > comment.md

Exit codes: 0 done, whether something would change or not; 1 yours to mend; 2 ours, or the
network's; with --exit-code also 3: something would change.`
}

// errChanged says that a release would change something; it is no failure.
var errChanged = errors.New("a release would change something")

// againstCluster is the value of --against that is no file.
const againstCluster = "cluster"

// Run compares what the file means with what there is.
func (o planCommand) Run(ctx context.Context, c Commands) error {
	if err := o.check(); err != nil {
		return err
	}
	files, err := c.readApps(o.File)
	if err != nil {
		return err
	}
	if files, err = o.chosen(files); err != nil {
		return err
	}
	apps, err := c.resolve(o.File, files, o.Environment)
	if err != nil {
		return err
	}
	plans, err := o.plans(ctx, c, apps)
	if err != nil {
		return err
	}
	write := text
	if o.Format == "markdown" {
		write = markdown
	}
	if _, err := fmt.Fprint(c.Stdout, write(plans)); err != nil {
		return err
	}
	if o.ExitCode && slices.ContainsFunc(plans, func(p plan) bool { return len(p.changes) > 0 }) {
		return errChanged
	}
	return nil
}

// check refuses what kong cannot know to be wrong.
func (o planCommand) check() error {
	const misunderstood = "the command line is not understood"
	switch {
	case o.File == stdinName && o.Against == stdinName:
		return &fault{what: misunderstood, why: "- stands for standard input twice", next: "name a file for one of them"}
	case o.Against != againstCluster && (o.Cluster.Kubeconfig != "" || o.Cluster.Context != ""):
		return &fault{what: misunderstood, why: "--kubeconfig and --context say which cluster, and none is asked", next: "add --against cluster"}
	}
	return nil
}

// chosen leaves the app that --app names.
func (o planCommand) chosen(files []*spec.File) ([]*spec.File, error) {
	if o.App == "" {
		return files, nil
	}
	var names []string
	for _, file := range files {
		if file.App == o.App {
			return []*spec.File{file}, nil
		}
		names = append(names, file.App)
	}
	return nil, &fault{
		what: fmt.Sprintf("there is no app %q", o.App),
		why:  fmt.Sprintf("%s declares %s", shown(o.File), strings.Join(names, ", ")), next: "name one of those in --app",
	}
}

// plan is what would change for one app.
type plan struct {
	app, environment string
	asked            bool     // for a release to compare with
	against          *release // nil: there is none
	image            bool     // images are compared too
	changes          []spec.Change
}

// plans compares each app with its release.
func (o planCommand) plans(ctx context.Context, c Commands, apps []spec.App) ([]plan, error) {
	find, err := o.releases(c)
	if err != nil {
		return nil, err
	}
	var plans []plan
	for _, app := range apps {
		current, err := find(ctx, app.Name)
		if err != nil {
			return nil, err
		}
		plans = append(plans, o.compare(app, current))
	}
	return plans, nil
}

// compare returns what a release of app would change of current, which is nil
// if there is none.
func (o planCommand) compare(app spec.App, current *release) plan {
	p := plan{app: app.Name, environment: o.Environment, asked: o.Against != "", against: current, image: o.Image != ""}
	var was spec.App
	var wasImage string
	if current != nil {
		was, wasImage = current.app, current.Spec.Image
	}
	if was.Name == "" {
		was.Name = app.Name // the app is known, even if nothing of it runs
	}
	// The registry says who the image's user is: it changes with the image, and
	// no file can tell.
	app.ImageUser = was.ImageUser
	if p.image && wasImage != o.Image {
		kind := spec.Changed
		if wasImage == "" {
			kind = spec.Added
		}
		p.changes = append(p.changes, spec.Change{Path: "image", Old: wasImage, New: o.Image, Kind: kind})
	}
	p.changes = append(p.changes, spec.Diff(was, app)...)
	return p
}
