"""Our chat templates against jinja2 in the environment of Transformers.

usage: chat_template_judge.py PROBE GGUF_PROBE SMOLLM2.gguf

Every template of CASES, alone and with a conversation, must give the same text;
those of REFUSED fail in both. SmolLM2's own template is compared with
apply_chat_template.
"""

import json
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import transformers.utils.chat_template_utils as hub
from transformers import AutoTokenizer

TOOL = {"type": "function", "function": {
    "name": "w", "description": "caf\u00e9 <b> & \"q\" \\ \n\t\x01",
    "parameters": {"z": 1, "a": [1.5, True, None, {}, []], "e": 1e20}}}
VARIABLES = {
    "messages": [
        {"role": "system", "content": "  Be brief.\n"},
        {"role": "user", "content": "Hi \u4f60\u597d <|x|>"},
        {"role": "assistant", "content": "<think>a</think>\n\nHo",
         "tool_calls": [TOOL]},
        {"role": "user", "content": [{"type": "text", "text": "1"},
                                     {"type": "image"}]}],
    "tools": [TOOL], "add_generation_prompt": True, "bos_token": "<s>",
    "eos_token": "</s>", "none": None, "n": 7, "f": 2.0, "s": "abcde",
    "empty": [], "d": {"b": 1, "a": 2}}
DATE = "2026-11-27T09:05:07"

CASES = [
    "plain", "", "\n\na\n", "{{ s }}\n", "{{ s }}\n\n", "a{# c #}b", "a\r\nb",
    # blanks
    "  {% if true %}\n  x\n  {% endif %}\ny", "a {%- if true -%} \n b {%- endif %} c",
    "{%+ if true %}\n x {%- endif +%}\ny", "a\n  {# c #}\nb", "  {{- s -}}  b",
    "x\n {{ s }}\n {{ n }}", "{% set a = 1 %}\n{% set b = 2 %}\n\n{{ a + b }}",
    "  {%- for i in [1,2] %}\n{{ i }}\n  {%- endfor %}\n\n",
    # statements
    "{% if n == 1 %}a{% elif n == 7 %}b{% else %}c{% endif %}",
    "{% if none %}a{% elif empty %}b{% else %}c{% endif %}",
    "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}"
    "{{ loop.last }}{{ loop.revindex }}{{ loop.length }}{{ m.role }}{% endfor %}",
    "{% for m in messages %}{% if not loop.first %}{{ loop.previtem.role }}"
    "{% endif %}{% if loop.nextitem is defined %}>{{ loop.nextitem['role'] }}"
    "{% endif %}|{% endfor %}",
    "{% for m in empty %}x{% else %}none{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}"
    "{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% set x = 1 %}{% for i in [1,2] %}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=1, y='a') %}{% for i in [1,2] %}"
    "{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x %}a{{ n }}{% endset %}{{ x }}",
    "{% macro m(a, b='z') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}",
    "{% macro m(a) %}{{ s }}{{ a is defined }}{% endmacro %}{{ m() }}",
    "{% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% generation %}a{{ s }}{% endgeneration %}b",
    "{% if true %}{% set q = 3 %}{% endif %}{{ q }}",
    # expressions
    "{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }}",
    "{{ 1.5 + 1 }} {{ 4 / 2 }} {{ 1e20 }} {{ 1e-7 }} {{ 0.1 + 0.2 }} {{ 1_000 }}",
    "{{ 'a' ~ 1 ~ none ~ true ~ 1.0 }}", "{{ 'a' + 'b' }} {{ [1] + [2] }} {{ 'ab' * 3 }}",
    "{{ 1 < 2 <= 2 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' != 'b' }}",
    "{{ not true or false and true }} {{ 0 or 'x' }} {{ 1 and 'y' }}",
    "{{ 'b' in s }} {{ 'z' not in s }} {{ 1 in [1, 2] }} {{ 'a' in d }} {{ not 'a' in d }}",
    "{{ 'x' if n else 'y' }} {{ 'x' if none }}|{{ ('a' if none else 'b') ~ 'c' }}",
    "{{ s[0] }}{{ s[-1] }}{{ s[1:3] }}{{ s[::-1] }}{{ s[:-1] }}{{ s[-2:] }}{{ s[::2] }}{{ s[10:] }}",
    "{{ messages[0].role }}{{ messages[-1]['role'] }}{{ messages[1:]|length }}"
    "{{ messages[::-1][0].role }}{{ messages[:-1]|length }}",
    "{{ [1, 'a', none, true, 1.5, {'k': 'v\"\\''}] }} {{ (1, 2) }} {{ (1,) }} {{ () }}",
    "{{ {'a': 1, 'b': [1]} }} {{ d }} {{ 'it\\'s' }} {{ [\"it's\"] }}",
    "{{ 'a\\nb\\t\\x41\\u00e9\\\\' }} {{ \"q\" 'r' }}", "{{ missing }}|{{ d.missing }}|{{ d['x'] }}",
    "{{ 1, 2 }}", "{{ -n }} {{ +n }} {{ - 3|abs }} {{ (-3)|abs }}", "{{ messages.0.role }}",
    "{{ 'a' 'b'|upper }}", "{{ s|upper ~ 'x'|upper }}", "{{ 1 + 2|string|length }}",
    "{{ n is odd and s is string }}", "{{ n is not none }}", "{{ '{{' }}{{ '%}' }}",
    "{{ {'a': {'b': 2}}['a']['b'] }}", "{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}",
    "{{ '\u4f60\u597d'[1] }}{{ '\u4f60\u597d'|length }}{{ ['\u4f60', '\\x07'] }}",
    # tests
    "{{ missing is defined }}{{ s is defined }}{{ none is none }}{{ missing is undefined }}",
    "{{ s is string }}{{ d is mapping }}{{ s is iterable }}{{ n is iterable }}"
    "{{ empty is sequence }}{{ d is iterable }}{{ messages is string }}",
    "{{ n is number }}{{ f is float }}{{ n is integer }}{{ true is integer }}{{ true is boolean }}",
    "{{ true is true }}{{ n is false }}{{ 4 is even }}{{ n is divisibleby 7 }}{{ n is divisibleby(2) }}",
    "{{ n is eq 7 }}{{ n is sameas 7 }}{{ 'a' is in s }}{{ n is gt 3 }}{{ n is lt(3) }}{{ n is ne 7 }}",
    # filters
    "[{{ messages[0].content|trim }}] {{ 'xaxx'|trim('x') }} {{ s|length }} {{ empty|count }}",
    "{{ tools|tojson }}", "{{ tools|tojson(indent=4) }}", "{{ d|tojson(sort_keys=true) }}",
    "{{ tools[0].function|tojson(ensure_ascii=true) }}", "{{ d|tojson(separators=(',', ':')) }}",
    "{{ [1.0, 1e20, -0.5, none, '\u4f60', '\\x7f/']|tojson }}", "{{ [{}, []]|tojson(indent=2) }}",
    "{{ s|list }} {{ d|list }} {{ s|upper }} {{ 'ABC'|lower }} {{ 'hELLO w'|capitalize }}",
    "{{ messages|selectattr('role', 'equalto', 'user')|list|length }}",
    "{{ messages|rejectattr('role', '==', 'user')|map(attribute='role')|join(', ') }}",
    "{{ messages|selectattr('tool_calls', 'defined')|list|length }}{{ [1,0,2]|select|list }}",
    "{{ [1,2,3]|select('odd')|list }}{{ [1,2,3]|reject('odd')|list }}{{ ['a','b']|map('upper')|list }}",
    "{{ [1,2]|first }}{{ [1,2]|last }}{{ ['a',1]|join }}{{ [3,1,2]|sort }}{{ [3,1]|sort(reverse=true) }}",
    "{{ missing|default('x') }}{{ ''|default('y', true) }}{{ ''|d('z') }}{{ '3'|int + 1 }}{{ 'q'|int }}",
    "{{ 'aXbX'|replace('X', '-') }}{{ [1,2]|reverse|list }}{{ 'abc'|reverse }}{{ [1,1,2]|unique|list }}",
    "{{ n|string ~ 'x' }}{{ s|safe }}{{ (-5)|abs }}{{ messages|map(attribute='content.0')|list|length }}",
    # methods
    "[{{ ' a '.strip() }}{{ ' a '.lstrip() }}{{ ' a '.rstrip() }}{{ 'xxa'.lstrip('x') }}]",
    "{{ 'a,b,c'.split(',') }}{{ 'a b  c'.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a,b,c'.rsplit(',', 1) }}",
    "{{ messages[2].content.split('</think>')[-1].lstrip('\\n') }}",
    "{{ s.startswith('ab') }}{{ s.endswith('e') }}{{ s.startswith(('x', 'a')) }}{{ s.find('c') }}{{ s.find('q') }}",
    "{{ s.upper() }}{{ 'AB'.lower() }}{{ 'ab'.capitalize() }}{{ 'aXbX'.replace('X', '', 1) }}",
    "{{ d.get('a') }}{{ d.get('q') }}{{ d.get('q', 3) }}{{ d.keys()|list }}{{ d.values()|list }}",
    # functions
    "{{ range(3)|list }}{{ range(1, 7, 2)|list }}{{ range(3, 0, -1)|list }}{{ dict(a=1, b='c') }}",
    "{{ strftime_now('%d %B %Y, %H:%M:%S %a %j %p') }}",
    # whole templates
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != "
    "(loop.index0 % 2 == 1) and false %}{{ raise_exception('no') }}{% endif %}"
    "{{ '<|' + message['role'] + '|>\\n' }}{% if message.content is string %}"
    "{{ message.content|trim }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% else %}<{{ part['type'] }}>{% endif %}"
    "{% endfor %}{% endif %}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- for tool in tools %}\n"
    "        {{- \"\\n\" }}\n        {{- tool | tojson }}\n    {%- endfor %}\n{%- endif %}\n"
    "{%- set ns = namespace(multi=true, last=messages|length - 1) %}\n"
    "{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n"
    "    {%- if ns.multi and message.role == 'user' and message.content is string %}\n"
    "        {%- set ns.multi = false %}\n        {%- set ns.last = index %}\n    {%- endif %}\n"
    "{%- endfor %}\n{{ ns.last }}",
]

REFUSED = [
    "{{ raise_exception('why') }}", "{{ missing.x }}", "{{ none.x.y }}", "{{ 'a' + 1 }}",
    "{% if %}", "{% endif %}", "{{ s", "{% for x in y %}", "{{ 1 / 0 }}", "{{ s|nofilter }}",
    "{{ s is notest }}", "{% include 'x' %}", "{{ missing() }}", "{{ ''.__class__ }}",
    "{{ s.__class__.__mro__ }}", "{{ messages.append(1) }}", "{{ d.update({}) }}", "{{ 'a\\n }}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set d.x = 1 %}",
    "{{ range(10000000) }}", "{% do 1 %}", "{{ 3 < 'a' }}", "{{ (1, 2 }}", "{% break %}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{{ x y }}", "{{ missing + 1 }}",
]


def compiled(template):
    # Not the cached function: the clock stands still here.
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromisoformat(DATE)
    hub.datetime = Clock
    return hub._compile_jinja_template(template)


def ask(probe, folder, templates, variables):
    cases = [{"template": template, "variables": variables, "date": DATE}
             for template in templates]
    path = Path(folder) / "cases.json"
    path.write_text(json.dumps(cases))
    subprocess.run([probe, path, Path(folder) / "out.json"], check=True)
    return json.loads((Path(folder) / "out.json").read_text())


def judge_cases(probe, folder):
    found = ask(probe, folder, CASES, VARIABLES)
    wrong = []
    for template, ours in zip(CASES, found, strict=True):
        theirs = compiled(template).render(**VARIABLES)
        if ours.get("text") != theirs:
            wrong.append((template, ours, theirs))
    for template, ours, theirs in wrong:
        print(f"template {template!r}\n  ours   {ours}\n  theirs {theirs!r}")
    assert not wrong, f"{len(wrong)} of {len(CASES)} differ"
    print(f"{len(CASES)} templates give jinja2's text")


def judge_refused(probe, folder):
    for template, ours in zip(REFUSED, ask(probe, folder, REFUSED, VARIABLES),
                              strict=True):
        assert "error" in ours and ours["kind"] in (2, 4), (template, ours)
        assert ours["error"].startswith("chat template, line 1: "), ours
        try:
            theirs = compiled(template).render(**VARIABLES)
        except Exception:  # whatever jinja2 raises
            continue
        # jinja2's sandbox makes an attribute of `_` undefined; ours says so.
        assert "__" in template and theirs == "", (template, theirs)
    print(f"{len(REFUSED)} templates are refused as they should be")


def judge_smollm(probe, gguf_probe, gguf, folder):
    directory = Path(folder) / "smollm2"
    subprocess.run([gguf_probe, "texts", gguf, directory], check=True)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    chats = [[{"role": "user", "content": "Hi"}],
             [{"role": "system", "content": "S"}, {"role": "user", "content": "a\n"},
              {"role": "assistant", "content": " b "}, {"role": "user", "content": ""}]]
    for chat in chats:
        for prompt in (False, True):
            theirs = tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=prompt)
            variables = {"messages": chat, "add_generation_prompt": prompt}
            [ours] = ask(probe, folder, [tokenizer.chat_template], variables)
            assert ours.get("text") == theirs, (ours, theirs)
    print("SmolLM2: apply_chat_template gives the same")


def main():
    probe, gguf_probe, gguf = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        judge_cases(probe, folder)
        judge_refused(probe, folder)
        if Path(gguf).exists():
            judge_smollm(probe, gguf_probe, gguf, folder)
        else:
            print("SmolLM2: not there (tools/setup.sh --models)")


main()
