package cluster

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// driftResource is d within the bounds of the schema.
func driftResource(d agent.DriftRecord) v1alpha1.Drift {
	return v1alpha1.Drift{
		Object: objectResource(d.Object),
		Fields: each(d.Fields[:min(len(d.Fields), v1alpha1.MaxDriftFields)], func(field string) string { return cut(redact(field), v1alpha1.MaxDriftField) }),
		By:     cut(d.By, v1alpha1.MaxDriftBy), Action: string(d.Action), Refused: cut(redact(d.Refused), v1alpha1.MaxEvent),
		At: metav1.NewMicroTime(d.At), Since: metav1.NewMicroTime(d.Since), Times: d.Times, Until: micro(d.Until),
	}
}

func domainDrift(o v1alpha1.Drift) agent.DriftRecord {
	return agent.DriftRecord{
		Drift:  agent.Drift{Object: referenceOf(o.Object), Fields: o.Fields, By: o.By, Refused: o.Refused},
		Action: agent.DriftAction(o.Action), At: plainTime(&o.At), Since: plainTime(&o.Since), Times: o.Times, Until: plainTime(o.Until),
	}
}

func objectResource(o agent.Object) v1alpha1.ObjectReference {
	return v1alpha1.ObjectReference{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

// recordedMarks are the marks that o has on record.
func recordedMarks(o *v1alpha1.Release) map[agent.Object]string {
	marks := map[agent.Object]string{}
	if o == nil {
		return marks
	}
	for _, at := range o.Status.Inventory {
		if at.Mark != "" {
			marks[referenceOf(at)] = at.Mark
		}
	}
	return marks
}

func referenceOf(o v1alpha1.ObjectReference) agent.Object {
	return agent.Object{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

// keepMarks puts on record how this process has left the objects of release
// number, but for what is on record already.
func (c *Client) keepMarks(o *v1alpha1.Release, before map[agent.Object]string, number int) {
	for i := range o.Status.Inventory {
		at := &o.Status.Inventory[i]
		at.Mark = before[referenceOf(*at)]
		if s, known := c.ledger.of(referenceOf(*at)); known && s.release == number && s.own != "" {
			at.Mark = s.own
		}
	}
}
