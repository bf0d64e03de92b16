package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// passwordBytes is how random the password of a database is.
const passwordBytes = 24

// credentials finds or prepares the credentials of r's databases. They are made once:
// whoever comes second takes those that are there. Without them a database that is
// there cannot be used by anybody any more, and that is said.
func (c *Client) credentials(ctx context.Context, r agent.Release, own map[string]*corev1.Secret, s *sealed) error {
	s.databases = map[string]string{}
	for _, d := range r.App.Databases {
		name := render.CredentialsName(r.Line.App, d)
		secret := own[name]
		if secret == nil {
			if err := c.untouched(ctx, r, d); err != nil {
				return err
			}
			secret = newCredentials(r, d)
			s.fresh = append(s.fresh, secret)
		}
		url := string(secret.Data[render.CredentialsURL])
		if url == "" || len(secret.Data[render.CredentialsPassword]) == 0 {
			return &agent.Rejected{Object: secretReference(r.Namespace, name), Message: "database " + d.Name + ": this is not what Inhaul has put there: close the pull request and open it again, which makes database and credentials anew"}
		}
		s.databases[d.Name] = url
		for _, value := range secret.Data {
			s.values[string(value)] = struct{}{}
		}
	}
	return nil
}

// untouched fails if there is something of a database without credentials: it has a
// password that nobody knows.
func (c *Client) untouched(ctx context.Context, r agent.Release, d spec.Database) error {
	lost := &agent.Rejected{
		Object:  secretReference(r.Namespace, render.CredentialsName(r.Line.App, d)),
		Message: "database " + d.Name + " is there and somebody has deleted its credentials: close the pull request and open it again, which makes both anew",
	}
	name := render.DatabaseName(r.Line.App, d)
	if c.cached("Deployment", r.Namespace, name) != nil { // or was, in the namespace of an earlier life
		kind, _ := c.resource("Deployment")
		there, err := c.read(ctx, kind, agent.Object{Kind: kind.kind, Namespace: r.Namespace, Name: name})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("reading Deployment %s: %w", name, err)
		case there.GetDeletionTimestamp() == nil:
			return lost
		}
	}
	if class, err := c.previewPolicy(r).Class(d); err != nil || class.Storage == "" {
		return nil //nolint:nilerr // because that there is no class is said where one is needed
	}
	claim, err := c.claim(ctx, agent.Object{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: r.Namespace, Name: name})
	if err == nil && claim != nil {
		return lost
	}
	return err
}

// newCredentials are the credentials of a database that nobody has made yet.
func newCredentials(r agent.Release, d spec.Database) *corev1.Secret {
	random := make([]byte, passwordBytes)
	_, _ = rand.Read(random) // never fails: https://pkg.go.dev/crypto/rand#Read
	password, immutable := hex.EncodeToString(random), true
	labels := maps.Clone(appLabels(r))
	labels[render.LabelDatabase] = render.Label(d.Name)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: render.CredentialsName(r.Line.App, d), Namespace: r.Namespace, Labels: labels,
			Annotations: map[string]string{"kubernetes.io/description": "The password of a database. It is made once, with the database."},
		},
		Immutable: &immutable,
		Data: map[string][]byte{
			render.CredentialsPassword: []byte(password),
			render.CredentialsURL:      []byte(render.DatabaseURL(r, d, password)),
		},
	}
}

// giveDatabases puts the URLs of r's databases over the values of a holder; of the
// scaler of a queue that one which it looks at.
func (s sealed) giveDatabases(r agent.Release, h render.Holder, values map[string]string) {
	for _, d := range r.App.Databases {
		if h.Queue == (spec.Queue{}) || h.Queue.From == d.Env {
			values[d.Env] = s.databases[d.Name]
		}
	}
}
