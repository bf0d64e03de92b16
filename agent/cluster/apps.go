package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// maxAttempts is how often a status is written again after a conflict. The
// agent alone writes it, so one retry is the rule.
const maxAttempts = 5

// Apps returns every App of the agent's namespace, sorted by name, this
// process's own writes included.
func (c *Client) Apps() []agent.App {
	var apps []agent.App
	for _, o := range c.appResources() {
		apps = append(apps, domainApp(o))
	}
	slices.SortFunc(apps, func(a, b agent.App) int { return cmp.Compare(a.Name, b.Name) })
	return apps
}

func (c *Client) appResources() []*v1alpha1.App {
	var cached []object
	for _, o := range c.informers["App"].GetStore().List() {
		cached = append(cached, last(o))
	}
	var apps []*v1alpha1.App
	for _, o := range c.apps.merge(cached, func(object) bool { return false }) {
		if app, ok := o.(*v1alpha1.App); ok {
			apps = append(apps, app)
		}
	}
	return apps
}

// UpdateApp changes the status of the named App. Nothing is written if change
// changes nothing.
func (c *Client) UpdateApp(ctx context.Context, name string, change func(*agent.AppStatus)) error {
	var app *v1alpha1.App
	for _, known := range c.appResources() {
		if known.Name == name {
			app = known
		}
	}
	err := errors.New("no such App")
	for attempt := range maxAttempts {
		if app == nil || attempt > 0 {
			if app, err = c.readApp(ctx, name); err != nil {
				break
			}
		}
		status := domainAppStatus(app.Status)
		change(&status)
		changed := app.DeepCopy()
		changed.Status = appStatusResource(status)
		if equality.Semantic.DeepEqual(changed.Status, app.Status) {
			return nil
		}
		if err = c.writeApp(ctx, changed); !apierrors.IsConflict(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("updating app %s: %w", name, err)
	}
	return nil
}

func (c *Client) readApp(ctx context.Context, name string) (*v1alpha1.App, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	app := &v1alpha1.App{}
	err := c.clients.custom.Get().Namespace(c.namespace).Resource(v1alpha1.Apps).Name(name).Do(ctx).Into(app)
	return app, err
}

func (c *Client) writeApp(ctx context.Context, app *v1alpha1.App) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	updated := &v1alpha1.App{}
	err := c.clients.custom.Put().Namespace(c.namespace).Resource(v1alpha1.Apps).Name(app.Name).SubResource("status").
		VersionedParams(&metav1.UpdateOptions{FieldManager: render.Manager}, c.clients.codec).
		Body(app).Do(ctx).Into(updated)
	if err == nil {
		updated.SetManagedFields(nil)
		c.apps.wrote(updated)
	}
	return err
}
