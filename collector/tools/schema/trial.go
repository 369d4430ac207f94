package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// What the keys' real reader makes of them decides: a custom Unmarshal takes more or less than its structure's fields.
type trial struct {
	name string
	// unmarshal gives a configuration to the component.
	unmarshal func(map[string]any) error
	// doubts are places that can't be reached, where every key is taken for good.
	doubts []string
}

const strange = "otelext_strange_key"

// crash is how the Collector ends over a strange key in parts of its own telemetry's configuration.
const crash = "reflect: Key of non-map type"

var refused = regexp.MustCompile(`has invalid keys: ([^\n]*)`)

// step leads from a place to one within; `wrap` builds the configuration around it.
type step struct {
	name string
	wrap func(any) any
}

func within(outer *key, name string) step {
	return step{name, func(inner any) any { return outer.with(name, inner) }}
}

func (k *key) with(name string, value any) map[string]any {
	fields := map[string]any{}
	maps.Copy(fields, k.required)
	fields[name] = value
	return fields
}

func (t *trial) of(k *key, steps []step) {
	if k.children != nil {
		t.structure(k, steps)
		for _, name := range sortedNames(k.children) {
			t.of(k.children[name], append(slices.Clip(steps), within(k, name)))
		}
	}
	if k.items != nil {
		t.of(k.items, append(slices.Clip(steps), step{"0", func(inner any) any { return []any{inner} }}))
	}
	if k.values != nil {
		name := k.sample
		if name == "" {
			name = "sample"
		}
		t.of(k.values, append(slices.Clip(steps), within(k, name)))
	}
	for _, variant := range sortedNames(k.variants) {
		selected := step{variant, func(inner any) any {
			if fields, ok := inner.(map[string]any); ok {
				fields[k.by] = variant
			}
			return inner
		}}
		t.of(k.variants[variant], append(slices.Clip(steps), selected))
	}
}

func (t *trial) structure(k *key, steps []step) {
	for _, name := range sortedNames(k.children) {
		if err := t.give(steps, k.with(name, example(k.children[name]))); isRefused(err, name) {
			fmt.Fprintf(os.Stderr, "schema: %s: %s is refused: %v\n", t.place(steps), name, err)
			delete(k.children, name)
		}
	}
	switch err := t.give(steps, k.with(strange, map[string]any{})); {
	case err != nil && (strings.Contains(err.Error(), strange) || strings.Contains(err.Error(), crash)):
		k.unknown = ""
	case err == nil:
		if k.unknown == "" {
			k.unknown = ignored
		}
	default:
		k.unknown = taken
		t.doubts = append(t.doubts, fmt.Sprintf("%s: %v", t.place(steps), err))
	}
}

func (t *trial) give(steps []step, fields map[string]any) (err error) {
	var config any = fields
	for _, step := range slices.Backward(steps) {
		config = step.wrap(config)
	}
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v", fault)
		}
	}()
	return t.unmarshal(config.(map[string]any))
}

func (t *trial) place(steps []step) string {
	names := []string{t.name}
	for _, step := range steps {
		names = append(names, step.name)
	}
	return strings.Join(names, ".")
}

func isRefused(err error, name string) bool {
	if err == nil {
		return false
	}
	for _, found := range refused.FindAllStringSubmatch(err.Error(), -1) {
		if slices.Contains(strings.Split(found[1], ", "), name) {
			return true
		}
	}
	return false
}

// example is a value of the right form.
func example(k *key) any {
	switch {
	case k.children != nil || k.values != nil:
		return map[string]any{}
	case k.items != nil:
		return []any{}
	}
	switch k.kind {
	case "bool":
		return true
	case "int":
		return 1
	case "float":
		return 1.5
	case "duration":
		return "1s"
	case "any":
		return map[string]any{}
	}
	return "a"
}

func unmarshalInto(fresh func() any) func(map[string]any) error {
	return func(config map[string]any) error {
		return confmap.NewFromStringMap(config).Unmarshal(fresh())
	}
}
