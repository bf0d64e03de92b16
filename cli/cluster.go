package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Cluster is an API server, with the rights of whoever asks. Objects are JSON. One
// that is not there is ErrNotFound; what may not be done is ErrForbidden.
type Cluster struct {
	Releases   Releases
	Log        ReleaseLog
	Rollbacks  Rollbacks
	Users      Users
	Secrets    Secrets
	PreviewLog PreviewLog
	Quotas     Quotas
	Inspection Inspection // only for doctor
	Trials     Trials     // only for doctor --probe
}

// ReleaseLog lists releases.
type ReleaseLog interface {
	// Page returns a list of Releases of a namespace, which goes on where its token
	// to continue says; the empty token is the beginning.
	Page(ctx context.Context, namespace, token string) ([]byte, error)
}

// Rollbacks are requests to go back.
type Rollbacks interface {
	// Ask makes a Rollback, and returns it as it was made. ErrRefused says why the
	// API server does not take it.
	Ask(ctx context.Context, namespace string, rollback []byte) ([]byte, error)
	// Rollback returns one, with the agent's answer.
	Rollback(ctx context.Context, namespace, name string) ([]byte, error)
}

// Users are who asks.
type Users interface {
	// Self returns the SelfSubjectReview of whoever asks.
	Self(ctx context.Context) ([]byte, error)
}

// ErrRefused says that the API server does not take an object as it is.
var ErrRefused = errors.New("refused")

// maxPages bounds a list: an agent that trims keeps far less in a namespace.
const maxPages = 100

// connect finds the cluster; its error is a fault.
func (c Commands) connect(to Connection) (Cluster, error) {
	cluster, err := c.Connect(to)
	if err != nil {
		return Cluster{}, &fault{
			what: "the cluster is not known", why: err.Error(),
			next: "name a kubeconfig and its context: --kubeconfig FILE --context NAME; kubectl config get-contexts lists them",
		}
	}
	return cluster, nil
}

// place is where an app runs.
type place struct {
	app, environment string
	namespace        string
}

// String is the app in its environment.
func (p place) String() string { return p.app + " in " + p.environment }

// find returns where the app runs, by its App.
func (cluster Cluster) find(ctx context.Context, app, environment, agent string) (place, error) {
	p := place{app: app, environment: environment}
	data, err := cluster.Releases.App(ctx, app)
	if err != nil {
		return p, unanswered(fmt.Sprintf("App %s in namespace %s", app, agent), err,
			"--namespace says where the agent lives, and kubectl get apps -A what there is")
	}
	var a appObject
	if err := json.Unmarshal(data, &a); err != nil {
		return p, fmt.Errorf("reading App %s: %w", app, err)
	}
	var names []string
	for _, e := range a.Spec.Environments {
		names = append(names, visible(e.Name))
		if e.Name == environment {
			p.namespace = e.Namespace
		}
	}
	if p.namespace == "" {
		return p, &fault{
			what: fmt.Sprintf("app %s has no environment %q in the cluster", app, environment),
			why:  fmt.Sprintf("App %s in namespace %s names %s", app, agent, cmp.Or(strings.Join(names, ", "), "none")),
			next: "name one of those with --environment",
		}
	}
	return p, nil
}

// record is what is read of a Release to tell what happened, see api/v1alpha1.
type record struct {
	Metadata struct {
		CreationTimestamp time.Time `json:"creationTimestamp"`
	} `json:"metadata"`
	Spec struct {
		App         string `json:"app"`
		Environment string `json:"environment"`
		Number      int    `json:"number"`
		Reason      string `json:"reason"`
		Restore     int    `json:"restore"`
		Image       string `json:"image"`
		Commit      string `json:"commit"`
		ShortCommit string `json:"shortCommit"`
		Source      struct {
			Commit string `json:"commit"`
			Actor  string `json:"actor"`
		} `json:"source"`
	} `json:"spec"`
	Status struct {
		Phase        string `json:"phase"`
		Message      string `json:"message"`
		SupersededBy string `json:"supersededBy"`
		RestoredTo   int    `json:"restoredTo"`
		Cause        *struct {
			Message string `json:"message"`
			Next    string `json:"next"`
			Log     string `json:"log"`
		} `json:"cause"`
	} `json:"status"`
}

// The phases of a release that a command tells apart; the rest are on the way.
const (
	phasePending    = "Pending"
	phaseSucceeded  = "Succeeded"
	phaseFailed     = "Failed"
	phaseRolledBack = "RolledBack"
	phaseSuperseded = "Superseded"
)

// phase is how far the release has come.
func (r record) phase() string { return cmp.Or(r.Status.Phase, phasePending) }

// commit is the commit whose code runs.
func (r record) commit() string { return cmp.Or(r.Spec.Commit, r.Spec.Source.Commit) }

// records are the releases of a line, newest first.
func (cluster Cluster) records(ctx context.Context, p place) ([]record, error) {
	var all []record
	token := ""
	for range maxPages {
		data, err := cluster.Log.Page(ctx, p.namespace, token)
		if err != nil {
			return nil, unanswered("releases in namespace "+p.namespace, err, "kubectl get releases -A lists them")
		}
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []record `json:"items"`
		}
		if err := json.Unmarshal(data, &page); err != nil {
			return nil, fmt.Errorf("reading the releases in namespace %s: %w", p.namespace, err)
		}
		for _, r := range page.Items {
			if r.Spec.App == p.app && r.Spec.Environment == p.environment {
				all = append(all, r)
			}
		}
		if token = page.Metadata.Continue; token == "" {
			slices.SortFunc(all, func(a, b record) int { return cmp.Compare(b.Spec.Number, a.Spec.Number) })
			return all, nil
		}
	}
	return nil, fmt.Errorf("reading the releases in namespace %s: more than %d pages", p.namespace, maxPages)
}

// serving is the number of the release that serves, 0 if none does: the newest
// that succeeded, to which a failed newer one was rolled back.
func serving(newestFirst []record) int {
	for _, r := range newestFirst {
		if r.phase() == phaseSucceeded {
			return r.Spec.Number
		}
	}
	return 0
}
