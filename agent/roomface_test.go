package agent

import "time"

// roomFaces are what people see of previews that wait for room, or make it.
func roomFaces() map[string]string {
	hold := func(evicted, coming bool) Preview {
		r := told(Pending, preview)
		p := Preview{
			Line: r.Line, Namespace: r.Namespace, Repository: r.Source.Repository, Phase: PreviewWaiting,
			Waiting: &Parked{Since: after(2 * time.Second), Release: r, Evicted: evicted},
		}
		p.Message = Hold{Line: p.Line, Coming: coming}.message(p, 20)
		return p
	}
	all := map[string]string{}
	for name, p := range map[string]Preview{"waits-for-room": hold(false, false), "waits-for-room-that-comes": hold(false, true)} {
		r := p.parked()
		all["check-"+name] = faceOfCheck(r.check(view{}))
		all["status-"+name] = faceOfStatus(r.commitStatus(view{}))
		all["comment-"+name] = faceOfComment(p.waitingRow())
	}
	all["comment-made-room"] = faceOfComment(hold(true, false).waitingRow())
	going := hold(true, false)
	going.Phase, going.CreatedAt, going.Message = PreviewDestroying, noon(), ""
	going.Destroys = []Destroy{{Reason: EndRoom, At: noon()}}
	row, _ := going.standing("acme/storefront", 12)
	all["comment-making-room"] = faceOfComment(row)

	was := told(Succeeded, func(r *Release) { live(r); preview(r) })
	was.Status.report(was.shows(WayCheck))
	left := was.remains(after(time.Minute), EndRoom.words())
	left.madeRoom(was)
	all["check-made-room"] = faceOfCheck(left.check(view{}))
	all["deployment-made-room"] = faceOfDeployment(left.deployment(view{}))
	stopped := hold(false, false)
	stopped.stopWaiting(after(time.Minute), EndAsked.words())
	all["check-waited-until-it-was-closed"] = faceOfCheck(stopped.Remains[0].check(view{}))
	overtaken := hold(false, false)
	overtaken.overtake(told(Pending, func(r *Release) { preview(r); r.Intent, r.Source.Commit = "newer", commitNewer }), after(time.Minute))
	all["check-waited-until-the-next-push"] = faceOfCheck(overtaken.Remains[0].check(view{}))
	return all
}
