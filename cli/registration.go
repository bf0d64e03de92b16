package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// githubAppCommand is `inhaul github-app`.
type githubAppCommand struct {
	Organization string        `placeholder:"NAME" help:"Register the App for this organization (default: for you)."`
	Name         string        `placeholder:"NAME" help:"Name of the App, of which GitHub has one each; it can still be changed on GitHub's page."`
	AppID        int64         `name:"app-id" placeholder:"N" help:"Register nothing: store the App of this number, with --key."`
	Key          string        `placeholder:"FILE" help:"Private key of the App of --app-id; - is standard input."`
	GitHubURL    string        `name:"github-url" placeholder:"URL" default:"https://github.com" help:"GitHub (default: https://github.com)."`
	GitHubAPIURL string        `name:"github-api-url" placeholder:"URL" help:"Its REST API, if it is elsewhere than usual."`
	Print        bool          `help:"Print the Secret, key included, instead of storing it in a cluster."`
	Force        bool          `help:"Replace the App that the agent has."`
	NoBrowser    bool          `help:"Open no browser: only print the address."`
	Timeout      time.Duration `default:"30m" help:"How long to wait for GitHub's page to be done, at most 1h."`
	Connection   `embed:""`
}

// Help is shown by --help.
func (githubAppCommand) Help() string {
	return `Opens a page of this machine that leads to GitHub, where one click makes an App with the permissions
that the agent needs, and no other. Its id and key go into the agent's Secret and nowhere else.

Examples:

    inhaul github-app --organization acme
    inhaul github-app --print >github-app.secret.yaml   # for a cluster that this machine does not reach
    inhaul github-app --app-id 123456 --key github-app.pem`
}

// Registrar leads a person through the registration of a GitHub App.
type Registrar interface {
	// Register serves one page on this machine, whose form posts the manifest to
	// GitHub, until GitHub has sent the person back once. It returns what Finish
	// does, for which it waits even if it is told to stop: ErrKeyLost says that it
	// was in vain.
	Register(ctx context.Context, registration Registration) error
}

// ErrKeyLost says that an App may be registered whose key did not arrive in time.
var ErrKeyLost = errors.New("the App's key was still on its way")

// Registration is what a Registrar has to know.
type Registration struct {
	Action   string                                // where the form is posted to
	Manifest func(redirect string) ([]byte, error) // what is posted: GitHub sends the person back to redirect
	Served   func(address string)                  // called with the page's address
	Browser  bool                                  // open it
	// Finishing is called when Register was told to stop while Finish is under way,
	// which it waits for no longer than that. nil: nobody is told.
	Finishing func(atMost time.Duration)
	// Finish takes the code that GitHub sent back, and returns where the App is
	// installed.
	Finish func(ctx context.Context, code string) (install string, err error)
}

// Secrets are the Secrets of a cluster.
type Secrets interface {
	// Secret returns one; ErrNotFound if there is none.
	Secret(ctx context.Context, namespace, name string) ([]byte, error)
	// Keep applies what it is given of a Secret; what else it has stays. ErrRefused
	// says that somebody else's fields are in the way.
	Keep(ctx context.Context, namespace, name string, secret []byte, how Keeping) error
}

// Keeping is how a Secret is kept.
type Keeping struct {
	Force bool // take over fields that others have set
	Try   bool // change nothing: see whether it could be
}

// What the agent has of its GitHub App, see deploy/agent.yaml.
const (
	agentSecret     = "inhaul-agent"
	agentDeployment = "deployment/inhaul-agent"
	appKeyEntry     = "github-app.pem"
	appIDEntry      = "github-app-id"
)

const (
	// maxRegistration is how long GitHub lets a registration take.
	// https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
	maxRegistration = time.Hour
	maxKey          = 64 << 10 // bytes
	maxAppName      = 34       // characters, says GitHub's page
)

// Run registers an App, or takes one, and stores it.
func (o githubAppCommand) Run(ctx context.Context, c Commands) error {
	if err := o.check(); err != nil {
		return err
	}
	store, err := o.store(ctx, c)
	if err != nil {
		return err
	}
	if o.AppID > 0 {
		key, err := c.read(o.Key, maxKey)
		if err == nil {
			err = isKey(key)
		}
		if err != nil {
			return unreadable(shown(o.Key), err, "download the key from the App's page on GitHub: Generate a private key")
		}
		if err := store(ctx, GitHubApp{ID: o.AppID, Key: key}); err != nil {
			return err
		}
		o.next(c, "")
		return nil
	}
	return o.register(ctx, c, store)
}

// check is what does not go together.
func (o githubAppCommand) check() error {
	wrong := func(why, next string) error {
		return &fault{what: "the command line is not understood", why: why, next: next}
	}
	switch {
	case o.AppID < 0, (o.AppID > 0) != (o.Key != ""):
		return wrong("--app-id and --key belong together", "give both, or neither to register a new App")
	case o.AppID > 0 && (o.Organization != "" || o.Name != ""):
		return wrong("--app-id is an App that there is, --organization and --name are for a new one", "leave one or the other out")
	case o.Organization != "" && (!word(o.Organization) || strings.ContainsAny(o.Organization, "/:@")):
		return wrong(fmt.Sprintf("--organization %q is no organization", visible(o.Organization)), "give its name as in its address on GitHub")
	case len(o.Name) > maxAppName:
		return wrong(fmt.Sprintf("--name has %d characters, and GitHub takes %d", len(o.Name), maxAppName), "shorten it")
	case o.Timeout <= 0 || o.Timeout > maxRegistration:
		return wrong(fmt.Sprintf("--timeout is %s, and GitHub lets a registration take an hour", o.Timeout), "give 1h or less")
	}
	return nil
}

// store returns what puts an App where it was asked for, after it has made sure
// that it will be able to: a key that GitHub tells once must not be lost.
func (o githubAppCommand) store(ctx context.Context, c Commands) (func(context.Context, GitHubApp) error, error) {
	if o.Print {
		return func(_ context.Context, app GitHubApp) error {
			secret, err := o.secret(app)
			if err == nil {
				_, err = fmt.Fprintf(c.Stdout, "%s\n", secret)
			}
			return err
		}, nil
	}
	cluster, err := c.connect(o.Connection)
	if err != nil {
		return nil, err
	}
	place := fmt.Sprintf("Secret %s in namespace %s", agentSecret, o.Namespace)
	if err := o.vacant(ctx, cluster.Secrets, place); err != nil {
		return nil, err
	}
	keep := func(ctx context.Context, app GitHubApp, try bool) error {
		secret, err := o.secret(app)
		if err != nil {
			return err
		}
		switch err := cluster.Secrets.Keep(ctx, o.Namespace, agentSecret, secret, Keeping{Force: o.Force, Try: try}); {
		case errors.Is(err, ErrRefused):
			return &fault{what: place + " was not changed", why: err.Error(), next: "look at it; --force replaces the App in it"}
		case err != nil:
			return unkept(place, err)
		}
		return nil
	}
	if err := keep(ctx, GitHubApp{ID: 1, Key: []byte("to see whether it may be stored")}, true); err != nil {
		return nil, err
	}
	return func(ctx context.Context, app GitHubApp) error {
		if err := keep(ctx, app, false); err != nil {
			return err
		}
		c.warn("stored App %d in %s\n", app.ID, place)
		return nil
	}, nil
}

// vacant makes sure that the agent has no App yet.
func (o githubAppCommand) vacant(ctx context.Context, secrets Secrets, place string) error {
	if o.Force {
		return nil
	}
	data, err := secrets.Secret(ctx, o.Namespace, agentSecret)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return unkept(place, err)
	}
	var secret struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(data, &secret); err != nil {
		return errors.New("reading " + place + ": it is no Secret") // what is wrong could quote from it
	}
	if secret.Data[appKeyEntry] != "" || secret.Data[appIDEntry] != "" {
		return &fault{what: "the agent has a GitHub App already", why: place + " has its key", next: "--force replaces it there; on GitHub it stays until you delete it"}
	}
	return nil
}

// unkept is the fault of a Secret that the cluster does not let be looked at or
// changed.
func unkept(place string, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return &fault{what: "the agent is not there", why: place + ": " + err.Error(), next: "install it first: kubectl apply --server-side -k deploy; --namespace says where it lives"}
	case errors.Is(err, ErrForbidden):
		return &fault{what: place + " is not yours to change", why: err.Error(), next: "ask for the right to get and patch it, or give whoever has it what --print prints"}
	}
	return fmt.Errorf("%s: %w", place, err)
}

// secret is the part of the agent's Secret that an App is.
func (o githubAppCommand) secret(app GitHubApp) ([]byte, error) {
	return json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": agentSecret, "namespace": o.Namespace},
		"data":     map[string][]byte{appKeyEntry: app.Key, appIDEntry: []byte(fmt.Sprint(app.ID))},
	}, "", "  ")
}

// isKey makes sure that text is a private key, and not what is public of it.
func isKey(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return fmt.Errorf("it has no private key in PEM: %w", os.ErrInvalid)
	}
	return nil
}

// register makes a new App.
func (o githubAppCommand) register(ctx context.Context, c Commands, store func(context.Context, GitHubApp) error) error {
	at, err := gitHubAt(o.GitHubURL)
	if err != nil {
		return err
	}
	github, err := c.GitHub(cmp.Or(strings.TrimRight(o.GitHubAPIURL, "/"), at.api))
	if err != nil {
		return &fault{what: "GitHub cannot be asked", why: err.Error(), next: "correct --github-url and --github-api-url"}
	}
	settings := at.web + "/settings/apps"
	if o.Organization != "" {
		settings = at.web + "/organizations/" + o.Organization + "/settings/apps"
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var install string
	err = c.Registrar.Register(ctx, Registration{
		Action: settings + "/new", Manifest: o.manifest, Browser: !o.NoBrowser,
		Served: func(address string) {
			c.warn("open %s on this machine, and press the button there\n", address)
		},
		Finishing: func(atMost time.Duration) {
			c.warn("GitHub is registering the App: waiting for its key, at most %s\n", atMost)
		},
		Finish: func(ctx context.Context, code string) (string, error) {
			app, err := github.Manifests.ConvertManifest(ctx, code)
			if err != nil {
				return "", &fault{
					what: "the App's key did not arrive", why: err.Error(),
					next: keyByHand(settings),
				}
			}
			install = installPage(at.web, app)
			if err := store(ctx, app); err != nil {
				return "", lostKey(err, settings, app)
			}
			return install, nil
		},
	})
	if errors.Is(err, ErrKeyLost) {
		return &fault{what: "the App's key was not stored", why: "it was still on its way when this had to stop", next: keyByHand(settings)}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &fault{what: "no App was registered", why: fmt.Sprintf("GitHub sent nobody back within %s", o.Timeout), next: "run this again"}
	}
	if err != nil {
		return err
	}
	o.next(c, install)
	return nil
}

// keyByHand says what to do about an App that may be there, without its key.
func keyByHand(settings string) string {
	return fmt.Sprintf("if %s lists the App: generate a private key on its page, and inhaul github-app --app-id N --key FILE\nelse run this again", settings)
}

// lostKey is the fault of an App that is there, and whose key is not kept.
func lostKey(err error, settings string, app GitHubApp) error {
	return &fault{
		what: fmt.Sprintf("App %d is registered, and its key was not stored", app.ID), why: err.Error(),
		next: fmt.Sprintf("generate another key on %s/%s, and inhaul github-app --app-id %d --key FILE", settings, visible(app.Slug), app.ID),
	}
}

// installPage is where an App is installed.
func installPage(web string, app GitHubApp) string {
	page := app.Page
	if !strings.HasPrefix(page, web+"/") || !word(page) {
		page = web + "/apps/" + app.Slug
	}
	return page + "/installations/new"
}

// manifest is what GitHub makes the App of: it writes checks, deployments,
// statuses and comments, reads which commits a pull request has, and is called by
// nobody.
func (o githubAppCommand) manifest(redirect string) ([]byte, error) {
	name := o.Name
	if name == "" && o.Organization != "" {
		name = "inhaul-" + o.Organization
		name = name[:min(len(name), maxAppName)]
	}
	return json.Marshal(struct {
		Name        string            `json:"name,omitempty"` // empty: GitHub's page asks for it
		URL         string            `json:"url"`
		Description string            `json:"description"`
		Redirect    string            `json:"redirect_url"`
		Public      bool              `json:"public"`
		Permissions map[string]string `json:"default_permissions"`
		Events      []string          `json:"default_events"`
	}{
		name, "https://github.com/inhaul/inhaul", "Reports what Inhaul's agent deploys.", redirect, false,
		map[string]string{"checks": "write", "contents": "read", "deployments": "write", "metadata": "read", "pull_requests": "write", "statuses": "write"},
		[]string{},
	})
}

// next says what is left to do.
func (o githubAppCommand) next(c Commands, install string) {
	steps := []string{fmt.Sprintf("kubectl -n %s rollout restart %s", o.Namespace, agentDeployment)}
	if o.Print {
		steps[0] = "kubectl apply --server-side -f the Secret, and " + steps[0]
	}
	if install != "" {
		steps = append([]string{"install it on your repositories: " + install}, steps...)
	}
	c.warn("\nnext:\n")
	for i, step := range steps {
		c.warn("  %d. %s\n", i+1, step)
	}
}
