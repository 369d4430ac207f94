package main

import (
	"bytes"
	"encoding/json"
	"sort"
)

// key is what a configuration may hold at one place. A place may take more than one form, such as a list and a map.
type key struct {
	// kind is that of a scalar, or "any" where every value is taken.
	kind string
	// def is the default, of some scalars only.
	def any
	// children are the names that are known here; nil where there are none.
	children map[string]*key
	// unknown says what becomes of other names than these: refused (""), ignored, or taken ("any").
	unknown string
	items   *key
	values  *key
	// by names the child whose value selects one of the variants.
	by       string
	variants map[string]*key
	// sample is a name that a map's keys may have where not every name will do.
	sample string
	// required are those that have to be there before others are looked at.
	required map[string]any
	// goType names the shared definitions.
	goType string
}

const (
	ignored = "ignored"
	taken   = "any"
)

func scalar(kind string) *key { return &key{kind: kind} }

// encode writes it as compact JSON with sorted names; in it, what `refer` gives a name to stands as "$name".
func (k *key) encode(refer func(*key, []byte) string) []byte {
	if k.kind != "" && k.def == nil && k.children == nil && k.items == nil && k.values == nil {
		return quoted(k.kind)
	}
	var out bytes.Buffer
	field := func(name string, value []byte) {
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		out.Write(quoted(name))
		out.WriteByte(':')
		out.Write(value)
	}
	if k.kind != "" {
		field("kind", quoted(k.kind))
	}
	if k.def != nil {
		field("default", quoted(k.def))
	}
	if k.children != nil {
		field("keys", encodeAll(k.children, refer))
	}
	if k.unknown != "" {
		field("unknown", quoted(k.unknown))
	}
	if k.by != "" {
		field("by", quoted(k.by))
		field("variants", encodeAll(k.variants, refer))
	}
	if k.items != nil {
		field("items", k.items.encode(refer))
	}
	if k.values != nil {
		field("values", k.values.encode(refer))
	}
	encoded := append(append([]byte{'{'}, out.Bytes()...), '}')
	if name := refer(k, encoded); name != "" {
		return quoted("$" + name)
	}
	return encoded
}

func encodeAll(keys map[string]*key, refer func(*key, []byte) string) []byte {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, name := range sortedNames(keys) {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(quoted(name))
		out.WriteByte(':')
		out.Write(keys[name].encode(refer))
	}
	out.WriteByte('}')
	return out.Bytes()
}

func quoted(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(out.Bytes())
}

func sortedNames[T any](of map[string]T) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
