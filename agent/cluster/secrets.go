package cluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// annotationHolder says whose values a Secret has; see render.Holders.
const annotationHolder = "inhaul.dev/holder"

// The bounds of a look at an app's own Secrets.
const (
	secretsPage   = 100 // Secrets of at most 1 MiB each that one answer may have
	shortestScrub = 4   // bytes: what is shorter stands in every other word
	shortestLine  = 16  // bytes of a line of a longer value: shorter ones say nothing
)

// sealed are the Secrets of a release, as far as some holders need them.
type sealed struct {
	namespace string
	names     map[string]string   // holder to Secret, as render wants it
	fresh     []*corev1.Secret    // those that have to be made, in this order
	own       []string            // those of the app that are there, but for the seed
	values    map[string]struct{} // what must not be in any message
	databases map[string]string   // the URL of each, by name
}

// references names the holders' Secrets; the seed is no release's.
func (s sealed) references() []agent.Object {
	var all []agent.Object
	for _, name := range slices.Sorted(maps.Values(s.names)) {
		all = append(all, secretReference(s.namespace, name))
	}
	return all
}

// seal finds or prepares a Secret for each of holders. Nothing is written. A
// Secret that r, or the release which r brings back, has in its inventory is used
// as it is, so that the old ReplicaSet finds its own. The others are made from
// what the references say now.
func (c *Client) seal(ctx context.Context, r agent.Release, holders []render.Holder) (sealed, error) {
	s := sealed{namespace: r.Namespace, names: map[string]string{}, values: map[string]struct{}{}}
	if len(holders) == 0 && len(r.App.Databases) == 0 {
		return s, nil
	}
	own, err := c.ownSecrets(ctx, r)
	if err != nil {
		return s, err
	}
	for name, secret := range own {
		if name != generatedName(r.Line.App) && secret.Labels[render.LabelDatabase] == "" { // these are never pruned
			s.own = append(s.own, name)
		}
	}
	if err := c.credentials(ctx, r, own, &s); err != nil {
		return s, err
	}
	s.names = recordedSecrets(r, c.Releases(r.Line), holders, own)
	left := slices.DeleteFunc(slices.Clone(holders), func(h render.Holder) bool { return s.names[h.Name] != "" })
	if len(left) == 0 {
		return s, nil
	}
	return s, c.resolve(ctx, r, left, own, &s)
}

// resolve prepares a Secret for each of holders from what their references say now.
func (c *Client) resolve(ctx context.Context, r agent.Release, holders []render.Holder, own map[string]*corev1.Secret, s *sealed) error {
	seeds, seed := own[generatedName(r.Line.App)], seed(nil)
	var err error
	if seeds == nil {
		seed, seeds = newSeed(r)
		s.fresh = append(s.fresh, seeds)
	} else if seed, err = readSeed(seeds); err != nil {
		return err
	}
	l := &lookup{namespace: r.Namespace, readers: maps.Clone(c.secrets), seed: seed, known: map[string]string{}}
	if l.readers == nil {
		l.readers = map[string]SecretReader{}
	}
	l.readers[spec.SchemeKubernetes] = &namespaceSecrets{core: c.clients.core, read: map[string]*corev1.Secret{}}
	values, err := l.values(ctx, holders)
	for _, value := range l.known {
		s.values[value] = struct{}{}
	}
	if err != nil {
		return err
	}
	for _, h := range holders {
		s.giveDatabases(r, h, values[h.Name])
		secret, err := newSecret(r, h, values[h.Name], seed)
		if err != nil {
			return err
		}
		s.names[h.Name] = secret.Name
		switch there := own[secret.Name]; {
		case there == nil:
			s.fresh = append(s.fresh, secret)
		case !maps.EqualFunc(there.Data, secret.Data, bytes.Equal):
			return &agent.Rejected{Object: secretReference(r.Namespace, secret.Name), Message: "there is one already, with another content than Inhaul gave it: delete it"}
		}
	}
	return nil
}

// newSecret is the Secret of h: immutable, and named by its content.
func newSecret(r agent.Release, h render.Holder, values map[string]string, s seed) (*corev1.Secret, error) {
	data, err := h.Data(values)
	if err != nil {
		return nil, &agent.Rejected{Object: secretReference(r.Namespace, h.Name), Message: holderName(h) + ": " + err.Error()}
	}
	immutable := true
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Labels: appLabels(r), Annotations: map[string]string{annotationHolder: h.Name}},
		Immutable:  &immutable,
		Data:       map[string][]byte{},
	}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	content, err := s.digest(secret.Data)
	if err != nil {
		return nil, fmt.Errorf("naming the Secret of %s: %w", holderName(h), err)
	}
	secret.Name = render.SecretName(r.Line.App, h.Name, content)
	return secret, nil
}

// recordedSecrets are the Secrets that r has already, or that the releases which
// it brings back have, by holder. Who refers to something else now than then has
// none.
func recordedSecrets(r agent.Release, releases []agent.Release, holders []render.Holder, own map[string]*corev1.Secret) map[string]string {
	names := map[string]string{}
	for _, old := range append([]agent.Release{r}, broughtBack(r, releases)...) {
		if !slices.Equal(old.App.Databases, r.App.Databases) {
			continue // its Secrets have the variables of other databases
		}
		then := render.Holders(old.App)
		for _, o := range old.Status.Inventory {
			secret := own[o.Name]
			if o.Kind != "Secret" || secret == nil {
				continue
			}
			i := slices.IndexFunc(holders, func(h render.Holder) bool { return h.Name == secret.Annotations[annotationHolder] })
			if i >= 0 && names[holders[i].Name] == "" && slices.ContainsFunc(then, func(h render.Holder) bool { return sameHolder(h, holders[i]) }) {
				names[holders[i].Name] = secret.Name
			}
		}
	}
	return names
}

func sameHolder(a, b render.Holder) bool {
	return a.Name == b.Name && a.Queue == b.Queue && maps.Equal(a.Secrets, b.Secrets)
}

// broughtBack are the releases whose configuration r is to bring back, the most
// wanted first; none if r is news.
func broughtBack(r agent.Release, releases []agent.Release) []agent.Release {
	var old []agent.Release
	for _, o := range slices.Backward(releases) {
		if r.BringsBack(o) {
			old = append(old, o)
		}
	}
	return old
}

// ownSecrets are the Secrets that Inhaul has made for the app of r, by name.
func (c *Client) ownSecrets(ctx context.Context, r agent.Release) (map[string]*corev1.Secret, error) {
	own := map[string]*corev1.Secret{}
	options := metav1.ListOptions{LabelSelector: ours + "," + render.LabelApp + "=" + render.Label(r.Line.App), Limit: secretsPage}
	for {
		page, err := c.secretsPage(ctx, r.Namespace, options)
		if err != nil {
			return nil, fmt.Errorf("listing the Secrets of %s in namespace %s: %w", r.Line.App, r.Namespace, err)
		}
		for i := range page.Items {
			own[page.Items[i].Name] = &page.Items[i]
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return own, nil
		}
	}
}

// ownValues are the values of the Secrets that Inhaul has made for the app of r,
// and the longer lines of them: a program may log a key line by line. An app
// without secrets costs no request.
func (c *Client) ownValues(ctx context.Context, r agent.Release) (sealed, error) {
	s := sealed{values: map[string]struct{}{}}
	if len(render.Holders(r.App)) == 0 {
		return s, nil
	}
	own, err := c.ownSecrets(ctx, r)
	if err != nil {
		return s, err
	}
	for _, secret := range own {
		for _, value := range secret.Data {
			text := string(value)
			s.values[text] = struct{}{}
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); len(line) >= shortestLine {
					s.values[line] = struct{}{}
				}
			}
		}
	}
	return s, nil
}

func (c *Client) secretsPage(ctx context.Context, namespace string, options metav1.ListOptions) (*corev1.SecretList, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return c.clients.core.Secrets(namespace).List(ctx, options)
}

// create sends a Secret that is not there yet. One of that name that was made
// meanwhile is trouble, which the next try looks at; somebody else's is a refusal.
func (c *Client) create(ctx context.Context, secret *corev1.Secret, dryRun bool, s sealed) error {
	options := metav1.CreateOptions{FieldManager: render.Manager}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	requestCtx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.clients.core.Secrets(secret.Namespace).Create(requestCtx, secret, options)
	at := secretReference(secret.Namespace, secret.Name)
	if apierrors.IsAlreadyExists(err) {
		if strange := c.mayTake(ctx, at, secret.Labels); strange != nil {
			return strange
		}
	}
	if err != nil {
		err = c.rejected(at, err, s.scrub)
		return &scrubbedError{text: s.scrub(err.Error()), cause: err}
	}
	return nil
}

// scrubbedError is an error whose own text might have secrets in it.
type scrubbedError struct {
	text  string
	cause error
}

func (e *scrubbedError) Error() string { return e.text }

func (e *scrubbedError) Unwrap() error { return e.cause }

// scrub takes the values out of a message: an admission webhook may quote
// anything.
func (s sealed) scrub(text string) string {
	longestFirst := slices.SortedFunc(maps.Keys(s.values), func(a, b string) int { return len(b) - len(a) })
	for _, value := range longestFirst {
		if len(value) >= shortestScrub {
			text = strings.ReplaceAll(text, value, redacted)
			text = strings.ReplaceAll(text, base64.StdEncoding.EncodeToString([]byte(value)), redacted)
		}
	}
	return text
}
