package agent

import "strings"

// maxAnnotation is what the message of an annotation may have here, in characters;
// GitHub takes 64 KB of it, and shows a few lines.
const maxAnnotation = 1000

// annotations point at the setting that may be at fault, where the release knows
// its line: at the setting itself, or at the nearest one around it.
func (r Release) annotations() []Annotation {
	c := r.Status.Cause
	if c == nil || c.Setting == "" || r.Config == nil || r.Config.Path == "" || r.Status.Phase == Superseded {
		return nil
	}
	line := 0
	for _, setting := range c.places() {
		if line = r.Config.Lines[setting]; line > 0 {
			break
		}
	}
	if line == 0 {
		return nil
	}
	message := oneLine(c.Message)
	if c.Next != "" {
		message += ".\nNext: " + strings.TrimSuffix(oneLine(c.Next), ".") + "."
	}
	return []Annotation{{
		Path: r.Config.Path, Line: line, Level: annotationFailure,
		Title: r.Line.Environment + ": " + clip(oneLine(c.Setting), maxHeadline), Message: clip(message, maxAnnotation),
	}}
}

// annotationFailure is GitHub's word for how grave an annotation is.
const annotationFailure = "failure"

// places are the settings to point at, the likeliest first: another one that says
// the same thing comes before what is around both.
func (c Cause) places() []string {
	var places []string
	for at := c.Setting; at != ""; {
		parent, last := "", at
		if i := strings.LastIndexByte(at, '.'); i >= 0 {
			parent, last = at[:i+1], at[i+1:]
		}
		places = append(places, at)
		for _, other := range siblingSettings(last) {
			places = append(places, parent+other)
		}
		if strings.HasSuffix(parent, ".secrets.") { // of one service, or of all
			places = append(places, "secrets."+last)
		}
		at = strings.TrimSuffix(parent, ".")
		if at == "services" {
			break // it is around all of them, and says nothing
		}
	}
	return places
}

// siblingSettings are the settings that decide the same as the one of that name.
func siblingSettings(name string) []string {
	switch name {
	case settingMemory:
		return []string{settingSize}
	case settingSize:
		return []string{settingMemory, settingCPU, settingReplicas, settingScale}
	}
	return nil
}

// The settings of a service, and of the app, by which a release may fail.
const (
	settingRun      = "run"
	settingPort     = "port"
	settingHealth   = "health"
	settingMemory   = "memory"
	settingCPU      = "cpu"
	settingSize     = "size"
	settingReplicas = "replicas"
	settingScale    = "scale"
	settingTimeout  = "timeout" // of a task
	settingSecrets  = "secrets"
	settingBuild    = "build" // of the app
)

// setting is the path of a setting of what is judged, in the words of inhaul.yaml.
func (t trial) setting(name string) string {
	if t.kind != "" {
		return string(t.kind) + "." + name
	}
	return "services." + t.service.Name + "." + name
}

// settingFor is the setting that may be at fault in a cause of that kind; empty
// where it takes more to know, or where none is.
func (t trial) settingFor(kind CauseKind) string {
	switch kind {
	case CauseNotListening:
		return t.setting(settingPort)
	case CauseProbe:
		return t.setting(settingHealth)
	case CauseOutOfMemory:
		return t.setting(settingMemory)
	case CauseUnschedulable, CauseQuota:
		return t.setting(settingSize)
	case CauseSecret:
		return t.setting(settingSecrets)
	case CauseArchitecture:
		return settingBuild
	case CausePredeploy, CauseSeed, CauseTeardown:
		return string(t.kind)
	case CauseImagePull, CauseConfig, CauseCrash, CauseNotReady, CauseAdmission, CauseRejected, CauseNoProgress:
	}
	return ""
}

// atRun returns c as one that the command of what is judged may be at fault in.
func (t trial) atRun(c *Cause) *Cause {
	c.Setting = t.setting(settingRun)
	return c
}
