package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// Releases are what a cluster's API server has of Inhaul: objects as JSON. An
// object that is not there is ErrNotFound, and one that may not be read is
// ErrForbidden.
type Releases interface {
	// App returns the App in the agent's namespace.
	App(ctx context.Context, name string) ([]byte, error)
	// Release returns the Release in the namespace of its environment.
	Release(ctx context.Context, namespace, name string) ([]byte, error)
}

// What a cluster answers instead of an object.
var (
	ErrNotFound  = errors.New("not found")
	ErrForbidden = errors.New("forbidden")
)

const (
	// MaxObjectBytes is far above what etcd stores of one object (1.5 MiB), and
	// above what indentation makes of it.
	MaxObjectBytes = 8 << 20
	// clusterTimeout is for all questions to a cluster, the login included.
	clusterTimeout = time.Minute
)

// release is what is read of a Release, see api/v1alpha1.
type release struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		App         string          `json:"app"`
		Environment string          `json:"environment"`
		Number      int             `json:"number"`
		Kind        string          `json:"kind"`
		Image       string          `json:"image"`
		ShortCommit string          `json:"shortCommit"`
		Definition  json.RawMessage `json:"definition"`
	} `json:"spec"`

	app spec.App // Definition
}

// Values that a Release has.
const (
	apiGroup    = "inhaul.dev/"
	kindRelease = "Release"
	kindDestroy = "destroy"
)

// howToGet is what to do for want of a Release.
const howToGet = "kubectl get release shop-12 -n NAMESPACE -o json prints one; kubectl get releases -A lists them"

// decode reads a Release; from says where it comes from.
func (c Commands) decode(from string, data []byte) (*release, error) {
	refuse := func(format string, args ...any) error {
		return &fault{what: from + " is not a Release", why: fmt.Sprintf(format, args...), next: howToGet}
	}
	var r release
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, refuse("%v", err)
	}
	if r.Kind != kindRelease || !strings.HasPrefix(r.APIVersion, apiGroup) {
		return nil, refuse("got kind %q of %q, want %q of %q", r.Kind, r.APIVersion, kindRelease, apiGroup+"v1alpha1")
	}
	if len(r.Spec.Definition) == 0 || string(r.Spec.Definition) == "null" {
		if r.Spec.Kind != kindDestroy {
			return nil, refuse("it has no spec.definition")
		}
		return &r, nil
	}
	strict := json.NewDecoder(strings.NewReader(string(r.Spec.Definition)))
	strict.DisallowUnknownFields()
	if strict.Decode(&r.app) == nil {
		return &r, nil
	}
	r.app = spec.App{}
	if err := json.Unmarshal(r.Spec.Definition, &r.app); err != nil {
		return nil, refuse("spec.definition: %v", err)
	}
	c.warn("inhaul: %s says more than this version knows, and that is not compared: install a newer inhaul\n", from)
	return &r, nil
}

// releases returns how to find the release that an app is compared with: nil
// if there is none.
func (o planCommand) releases(c Commands) (func(ctx context.Context, app string) (*release, error), error) {
	switch o.Against {
	case "":
		return func(context.Context, string) (*release, error) { return nil, nil }, nil
	case againstCluster:
		cluster, err := c.connect(o.Cluster)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, app string) (*release, error) {
			ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
			defer cancel()
			return o.serving(ctx, c, cluster.Releases, app)
		}, nil
	}
	r, err := o.fromFile(c)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, app string) (*release, error) {
		if r.Spec.App != app {
			return nil, &fault{
				what: "two different apps are not compared",
				why:  fmt.Sprintf("%s is a release of app %q, and %s declares %q", shown(o.Against), r.Spec.App, shown(o.File), app),
				next: "name the app with --app, or a release of that app with --against",
			}
		}
		return r, nil
	}, nil
}

// fromFile reads the Release that --against names.
func (o planCommand) fromFile(c Commands) (*release, error) {
	data, err := c.read(o.Against, MaxObjectBytes)
	if err != nil {
		return nil, unreadable(shown(o.Against), err, howToGet)
	}
	return c.decode(shown(o.Against), data)
}

// serving returns the release that serves the app in the cluster, or nil if
// none does.
func (o planCommand) serving(ctx context.Context, c Commands, cluster Releases, app string) (*release, error) {
	data, err := cluster.App(ctx, app)
	if err != nil {
		return nil, unanswered(fmt.Sprintf("App %s in namespace %s", app, o.Cluster.Namespace), err,
			"--namespace says where the agent lives, and kubectl get apps -A what there is; without --against everything is new")
	}
	var a appObject
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("reading App %s: %w", app, err)
	}
	namespace, number, known := a.current(o.Environment)
	if !known {
		return nil, &fault{
			what: fmt.Sprintf("app %s has no environment %q in the cluster", app, o.Environment),
			why:  fmt.Sprintf("spec.environments of App %s in namespace %s does not name it", app, o.Cluster.Namespace),
			next: "ask the platform owner to add it, or leave out --against",
		}
	}
	if number == 0 {
		return nil, nil
	}
	name := fmt.Sprintf("%s-%d", app, number)
	if data, err = cluster.Release(ctx, namespace, name); err != nil {
		return nil, unanswered(fmt.Sprintf("Release %s in namespace %s", name, namespace), err, howToGet)
	}
	return c.decode("Release "+name, data)
}

// appObject is what is read of an App, see api/v1alpha1.
type appObject struct {
	Spec struct {
		Environments []struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"environments"`
	} `json:"spec"`
	Status struct {
		Lines []struct {
			Environment string `json:"environment"`
			Current     int    `json:"current"`
		} `json:"lines"`
	} `json:"status"`
}

// current returns which release serves in environment, 0 if none does, and in
// which namespace; known is false for an environment that the App does not name.
func (a appObject) current(environment string) (namespace string, number int, known bool) {
	for _, e := range a.Spec.Environments {
		if e.Name == environment {
			namespace, known = e.Namespace, true
		}
	}
	for _, line := range a.Status.Lines {
		if line.Environment == environment {
			number = line.Current
		}
	}
	return namespace, number, known
}

// unanswered is the fault of an object that the cluster does not give; other
// errors are not the user's.
func unanswered(object string, err error, absent string) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return &fault{what: "the cluster has no " + object, why: err.Error(), next: absent}
	case errors.Is(err, ErrForbidden):
		return &fault{
			what: "the cluster does not show " + object, why: err.Error(),
			next: "log in again, or ask for the right to get apps and releases of " + strings.TrimSuffix(apiGroup, "/"),
		}
	}
	return fmt.Errorf("reading %s: %w", object, err)
}
