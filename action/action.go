// Package action is the CI side of a deploy: the event of a workflow becomes an
// image, a signed intent that names it, and a verdict on the commit.
//
// Start with Action.Run, which reads as the way of a deploy does. Everything
// outside comes in through the fields of Action; the package reads no
// environment variable and starts no program by itself.
package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
	"github.com/sethvargo/go-githubactions"
)

// Action is one run of the Action. All exported fields are needed.
type Action struct {
	Getenv  func(name string) string
	Out     io.Writer // the step's log, which is also where workflow commands go
	Dir     string    // the checked-out repository
	Files   fs.FS     // Dir, to read from
	Temp    string    // a directory for files that the builder writes
	Now     func() time.Time
	Sleep   func(context.Context, time.Duration) error // until the time is over or ctx is
	Exec    Exec
	Images  Images
	Publish Publisher
	Intents Intents
	// IDToken asks GitHub for the run's ID token with the given audience.
	IDToken func(ctx context.Context, audience string) (string, error)
	// Verdicts connects to GitHub with the workflow's token.
	Verdicts func(token string) (Verdicts, error)
	Receipts Receipts
	// Reporter connects to GitHub with the workflow's token.
	Reporter func(token string) (Reporter, error)

	noticed []string // what was shown already
}

// Images knows the images in a registry.
type Images interface {
	// FindImage returns the digest of the image that tag names, if there is one.
	FindImage(ctx context.Context, repository, tag string) (digest string, found bool, err error)
	// Platform returns what reference is deployed as: the digest is that of the
	// platform's manifest if there is exactly one; user is that of the image's
	// configuration, empty if there is none.
	Platform(ctx context.Context, reference string) (digest, user string, err error)
}

// Publisher puts intents where the agent looks for them.
type Publisher interface {
	// Publish returns the reference under which the intent is found.
	Publish(ctx context.Context, p Publication) (reference string, err error)
}

// Intents knows what was published.
type Intents interface {
	// Tags returns the tags of the environment's intents, the newest first; none if
	// the repository does not exist.
	Tags(ctx context.Context, repository, environment string) ([]string, error)
	// Fetch returns the envelope of the intent that tag names.
	Fetch(ctx context.Context, repository, tag string) ([]byte, error)
}

// Publication is a signed intent and where it belongs.
type Publication struct {
	Repository  string
	Environment string
	IssuedAt    time.Time
	Digest      string // of the intent, "sha256:…"
	Envelope    []byte
}

// Verdicts finds what the agent says.
type Verdicts interface {
	// Find returns the newest check run of that commit, name and external ID, if
	// there is one. ErrNoAccess says that asking again is useless.
	Find(ctx context.Context, repository, commit, name, externalID string) (Check, bool, error)
}

// Check is a check run in GitHub's words.
type Check struct {
	Status     string // queued, in_progress or completed
	Conclusion string // of a completed one
	Title      string
	Summary    string // Markdown
	Text       string // Markdown
	URL        string
}

// ErrNoAccess says that the workflow's token may not read check runs.
var ErrNoAccess = errors.New("the workflow's token may not read check runs")

// deploy is what a run knows so far of what it does to one app: a deploy, a
// rollback or a destroy.
type deploy struct {
	kind        intent.Kind
	inputs      Inputs
	source      intent.Source
	code        string // the commit that is checked out, which is the source's but for a `ref:` of actions/checkout
	config      string // path of inhaul.yaml in the repository
	file        *spec.File
	several     bool // the repository has other apps too
	environment string
	app         spec.App
	images      string // repository
	intents     string // repository
	image       string // repository@sha256:…
	built       bool
	intent      string // digest
	fresh       bool   // of a destroy: nothing of the environment was ever published
	check       Check  // zero without a verdict
	marker      marker
	steps       []step
	failure     error
}

// commit is the one that the deploy is about: of a pull request, its head, which
// is also where the agent says how it went.
func (d *deploy) commit() string { return cmp.Or(d.source.HeadCommit, d.source.Commit) }

// step is how long a part of the run took.
type step struct {
	name string
	took time.Duration
}

// outcome is what a run came to.
type outcome struct {
	inputs  Inputs
	event   string
	idle    *idle // the event asks for nothing
	deploys []*deploy
	left    []left
	plan    string // of a dry run, as Markdown
	err     error
}

// left is an app that stays as it is.
type left struct{ app, why string }

// Run takes the workflow's event all the way to a verdict. It reports every
// failure as annotations before it returns it; ExitCode tells the user's faults
// from ours.
func (a *Action) Run(ctx context.Context) error {
	o := outcome{event: a.Getenv("GITHUB_EVENT_NAME")}
	o.err = a.run(ctx, &o)
	a.output(o)
	a.summarize(o)
	a.annotate(o.err)
	return o.err
}

// run makes every image before it publishes the first intent, so that an app
// which does not build keeps the others of its repository where they are.
func (a *Action) run(ctx context.Context, o *outcome) error {
	if err := a.prepare(ctx, o); err != nil {
		return err
	}
	switch {
	case o.idle != nil:
		a.github().Noticef("%s", strings.Join(slices.DeleteFunc([]string{o.idle.what, o.idle.why, o.idle.next}, func(s string) bool { return s == "" }), ": "))
		return nil
	case len(o.deploys) == 0:
		return nil // the log says why each app is left as it is
	case o.inputs.DryRun:
		return a.tellPlan(ctx, o)
	}
	return a.carry(ctx, o)
}

// carry takes prepared deploys to their verdicts, or as far as the mode goes.
func (a *Action) carry(ctx context.Context, o *outcome) error {
	for _, d := range o.deploys {
		if d.kind != intent.Deploy { // the release that comes back has its image
			continue
		}
		if err := a.provideImage(ctx, d); err != nil {
			d.failure = err
			return err
		}
	}
	if o.inputs.Mode == modeBuild {
		return nil
	}
	for _, d := range o.deploys {
		d.failure = a.publishIntent(ctx, d) // the others are on their way, or will be
	}
	a.output(*o)         // a job that is cancelled has told what it published
	published := a.Now() // the timeout is for all of them together
	var failures []error
	for _, d := range o.deploys {
		if d.failure == nil && d.inputs.Wait && !d.fresh {
			d.failure = a.awaitVerdict(ctx, d, published)
		}
		failures = append(failures, d.failure)
	}
	if len(o.deploys) == 1 {
		return failures[0]
	}
	return errors.Join(failures...)
}

// prepare does all that can fail before anything is made.
func (a *Action) prepare(ctx context.Context, o *outcome) error {
	start := a.Now().UTC().Truncate(time.Millisecond)
	inputs, problem := a.readInputs()
	o.inputs = inputs
	e, err := a.readEvent()
	if problem != nil && (o.event != pullRequest || !e.fork()) { // a fork's run lacks what others are given
		return problem
	}
	if err != nil {
		return err
	}
	d := deploy{inputs: inputs}
	if d.source, err = a.readSource(e, start); err != nil {
		return err
	}
	asked, err := e.asks(d.source.Event, d.source.Ref, inputs)
	switch {
	case err != nil:
		return err
	case asked.idle != nil:
		o.idle = asked.idle
		return nil
	case problem != nil:
		return problem
	case inputs.signs() && inputs.Signer == signerOIDC && a.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL") == "":
		return userError("the job may not ask GitHub for an ID token, which signs the deploy",
			"give the job `permissions: {contents: read, id-token: write, checks: read}`")
	}
	d.kind, d.code = asked.kind, d.source.Commit
	switch {
	case inputs.RollbackTo != "":
		d.kind = intent.Rollback
		o.deploys, err = a.planRollback(d, asked)
	case asked.kind == intent.Destroy:
		o.deploys, err = a.planDestroy(ctx, d, asked)
	default:
		err = a.planDeploys(ctx, d, asked, e, o)
	}
	return err
}

// provideImage finds the image of the commit or builds it.
func (a *Action) provideImage(ctx context.Context, d *deploy) error {
	if d.inputs.Image != "" {
		return a.resolveImage(ctx, d, d.inputs.Image)
	}
	if d.inputs.Mode == modeSign {
		return imageMissing()
	}
	a.findCode(ctx, d)
	b := a.newBuild(d)
	found, ok, err := a.Images.FindImage(ctx, b.repository, b.tag)
	if err != nil {
		return err
	}
	if ok {
		a.infof("image for commit %s is there already: no build", short(d.code))
		return a.resolveImage(ctx, d, b.repository+"@"+found)
	}
	digest, steps, err := a.build(ctx, b)
	if err != nil {
		// A job beside this one, for another environment, may have been faster, and
		// immutable tags refuse the second push.
		if found, ok, lookErr := a.Images.FindImage(ctx, b.repository, b.tag); ok && lookErr == nil {
			a.infof("image for commit %s was pushed by another job meanwhile", short(d.code))
			return a.resolveImage(ctx, d, b.repository+"@"+found)
		}
		return err
	}
	d.built = true
	d.steps = append(d.steps, steps...)
	return a.resolveImage(ctx, d, b.repository+"@"+digest)
}

func (a *Action) resolveImage(ctx context.Context, d *deploy, reference string) error {
	digest, user, err := a.Images.Platform(ctx, reference)
	if err != nil {
		return err
	}
	d.image = repositoryOf(reference) + "@" + digest
	d.app.ImageUser = user // decides whether the cluster can forbid root
	a.infof("image %s", d.image)
	return nil
}

// publishIntent composes, signs and publishes the intent.
func (a *Action) publishIntent(ctx context.Context, d *deploy) error {
	signer, err := a.signer(d.inputs)
	if err != nil {
		return err
	}
	issuedAt := a.Now().UTC().Truncate(time.Millisecond)
	predicate := intent.Predicate{
		Kind: d.kind, App: d.app.Name, Environment: d.environment, Source: d.source, Force: d.inputs.Force,
		IssuedAt: issuedAt, ExpiresAt: issuedAt.Add(d.inputs.ExpiresIn),
	}
	switch d.kind {
	case intent.Deploy:
		predicate.Spec, predicate.Config = &d.app, d.written()
	case intent.Rollback:
		if err := predicate.RollBackTo(d.inputs.RollbackTo); err != nil {
			return err
		}
	case intent.Destroy:
		predicate.Force = false // there is nothing to force
	}
	envelope, digest, err := intent.Sign(ctx, intent.New(d.image, predicate), signer)
	if errors.Is(err, intent.ErrMalformed) && d.kind != intent.Deploy { // no spec has been looked at before
		return userError(err.Error(), "correct `with:` in the workflow")
	}
	if err != nil {
		return err
	}
	signed := a.Now()
	d.steps = append(d.steps, step{"sign", signed.Sub(issuedAt)})
	reference, err := a.Publish.Publish(ctx, Publication{
		Repository: d.intents, Environment: d.environment,
		IssuedAt: issuedAt, Digest: digest, Envelope: envelope,
	})
	if err != nil {
		return err
	}
	d.intent = digest
	d.steps = append(d.steps, step{"publish", a.Now().Sub(signed)})
	a.infof("intent %s published as %s", digest, reference)
	return nil
}

// written is where the app's settings are in the repository; nil if it was read
// from another platform's files, which have other words.
func (d *deploy) written() *intent.Config {
	if d.file == nil || d.file.Path == "" {
		return nil
	}
	return &intent.Config{Path: path.Clean(d.file.Path), Lines: d.file.Lines(d.environment)}
}

func (a *Action) signer(in Inputs) (intent.Signer, error) {
	if in.Signer == signerKey {
		signer, err := intent.NewKeySigner([]byte(in.SigningKey))
		if err != nil {
			return nil, userError(err.Error(), "set the signing-key input to a PEM private key, ed25519 or ECDSA P-256, from a secret")
		}
		return signer, nil
	}
	return intent.NewGitHubSigner(func(ctx context.Context, audience string) (string, error) {
		token, err := a.IDToken(ctx, audience)
		if err != nil {
			return "", err
		}
		a.github().AddMask(token)
		return token, nil
	}), nil
}

func (a *Action) github() *githubactions.Action {
	return githubactions.New(githubactions.WithGetenv(a.Getenv), githubactions.WithWriter(a.Out))
}

func (a *Action) infof(format string, args ...any) {
	a.github().Infof("%s", quiet(fmt.Sprintf(format, args...)))
}

// short is a commit as people name it.
func short(commit string) string { return commit[:min(len(commit), 7)] }
