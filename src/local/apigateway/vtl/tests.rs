//! The language, by tables: the user guide of Velocity 1.7 (velocity.apache.org/engine/1.7/user-guide.html) section by section, what
//! API Gateway's documentation shows, and what is recorded of it.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

/// A host with one object, `$tool`, whose method `twice` doubles a text.
struct Tools;

impl Host for Tools {
    fn property(&self, _object: &str, name: &str, heap: &mut Heap) -> Result<Value, String> {
        if name == "name" { heap.new_text("tool") } else { Ok(Value::Null) }
    }

    fn call(&self, _object: &str, method: &str, arguments: &[Value], heap: &mut Heap) -> Result<Option<Value>, String> {
        match (method, arguments) {
            ("twice", [text]) => {
                let text = heap.text_of(text)?;
                Ok(Some(heap.new_text(&format!("{text}{text}"))?))
            }
            ("fail", []) => Err("it failed".to_owned()),
            _ => Ok(None),
        }
    }
}

fn given() -> Json {
    json!({
        "name": "Vera",
        "count": 3,
        "price": 249.99,
        "yes": true,
        "no": false,
        "nothing": null,
        "customer": { "name": "Nathan", "address": { "city": "Oslo" }, "tags": ["a", "b"] },
        "list": ["one", "two", "three"],
        "numbers": [1, 2.5, 3],
        "empty": [],
        "odd-key": "hyphen",
    })
}

/// Evaluates with the members of `given` as variables, within limits.
fn within(limits: Limits, template: &str) -> Result<String, Error> {
    let names = ["name", "count", "price", "yes", "no", "nothing", "customer", "list", "numbers", "empty", "odd-key"];
    let given = given();
    let rendered = render(template, &Tools, limits, |heap| {
        let mut variables = vec![("tool", Value::Object("tool")), ("given", heap.add_json(&given)?)];
        for name in names {
            variables.push((name, heap.add_json(&given[name])?));
        }
        Ok(variables)
    })?;
    Ok(rendered.text)
}

fn evaluate(template: &str) -> Result<String, Error> {
    within(Limits::API_GATEWAY, template)
}

#[track_caller]
fn table(rows: &[(&str, &str)]) {
    for (template, expected) in rows {
        assert_eq!(evaluate(template).as_deref(), Ok(*expected), "{template}");
    }
}

#[test]
fn references() {
    table(&[
        // "Variables", "Properties", "Methods", "Formal Reference Notation", "Quiet Reference Notation"
        ("Hello $name!", "Hello Vera!"),
        ("Hello ${name}s", "Hello Veras"),
        ("$!name $!{name}", "Vera Vera"),
        ("$customer.name of ${customer.address.city}.", "Nathan of Oslo."),
        ("$customer.address.city.length()", "4"),
        ("$odd-key", "hyphen"),
        ("$name.toUpperCase().substring(1)", "ERA"),
        ("$tool.name $tool.twice(\"ab\")", "tool abab"),
        // "Index Notation"
        ("$list[0] $list[-1] ${list[1]}", "one three two"),
        ("$customer['name'] $customer[\"address\"][\"city\"]", "Nathan Oslo"),
        ("#set($i = 1)$list[$i]", "two"),
        // What has no value is the empty text in API Gateway.
        ("<$unknown> <$!unknown> <${unknown}> <$nothing> <$customer.x.y.z>", "<> <> <> <> <>"),
        ("<$unknown.method()>", "<>"),
        // No references.
        ("$ $5 $$ ${ $! $.a 100$", "$ $5 $$ ${ $! $.a 100$"),
        ("cost $5.00, $name.", "cost $5.00, Vera."),
        ("$name. $name.5 $name,", "Vera. Vera.5 Vera,"),
        ("$$name", "$Vera"),
        // Numbers and truth, lists and maps as Java writes them; lists from JSON as JSON.
        ("$count $price $yes $no", "3 249.99 true false"),
        ("$customer", r#"{name=Nathan, address={city=Oslo}, tags=["a","b"]}"#),
        ("$list $numbers $empty", r#"["one","two","three"] [1,2.5,3] []"#),
        ("#set($x = ['a', 1, true])$x", "[a, 1, true]"),
        ("#set($x = {\"k\": [1], 'n': {}})$x", "{k=[1], n={}}"),
    ]);
}

#[test]
fn escapes() {
    table(&[
        // "Escaping Valid VTL References"
        (r"\$name", "$name"),
        (r"\\$name", r"\Vera"),
        (r"\\\$name", r"\$name"),
        (r"\$unknown", r"\$unknown"),
        (r"\${name} \$!name", "${name} $!name"),
        // "Escaping Valid VTL Directives"
        (r"\#set( $name = 5 )", "#set( Vera = 5 )"),
        (r"\#if( $yes )x\#end", "#if( true )x#end"),
        // Backslashes before anything else stay.
        (r#"{"a": "x\ny\"z\\"}"#, r#"{"a": "x\ny\"z\\"}"#),
        (r"C:\dir", r"C:\dir"),
    ]);
}

#[test]
fn comments_and_text_that_is_not_evaluated() {
    table(&[
        ("a ## comment $name\nb", "a b"),
        ("a#* many\nlines $name *#b", "ab"),
        ("#[[ $name #if ]]#", " $name #if "),
        // No directives: "#" is text.
        ("#fff #1 # #x(1) issue #12 #else_ #endless", "#fff #1 # #x(1) issue #12 #else_ #endless"),
        ("\"#foobar123\" #set", "\"#foobar123\" #set"),
    ]);
}

#[test]
fn set() {
    table(&[
        // "Set"
        ("#set( $monkey = $name )$monkey", "Vera"),
        ("#set( $m = 'text' )$m", "text"),
        ("#set( $m = 123 )$m", "123"),
        ("#set( $m = -1.5 )$m", "-1.5"),
        ("#set( $m = [\"Not\", $name, \"fault\"] )$m.get(1)", "Vera"),
        ("#set( $m = {\"banana\" : \"good\", \"beef\" : \"bad\"} )$m.banana $m.get('beef')", "good bad"),
        ("#set( $value = $count + 1 )$value", "4"),
        // A property, an entry, an item.
        ("#set( $d = {} )#set( $d.x = 2 )#set( $d['y z'] = 3 )$d", "{x=2, y z=3}"),
        ("#set( $d = [1, 2] )#set( $d[1] = 'b' )$d", "[1, b]"),
        ("#set( $customer.name = 'New' )$given.customer.name $customer.name", "Nathan New"),
        // "String Literals"
        ("#set( $d = \"www\" )#set( $b = \"$d/index.html\" )$b", "www/index.html"),
        ("#set( $b = '$name' )$b", "$name"),
        ("#set( $b = \"it is \"\"$name\"\"\" )$b", "it is \"Vera\""),
        ("#set( $b = 'it''s' )$b", "it's"),
        ("#set( $b = \"#if($yes)x#end y\" )$b", "x y"),
        ("#set( $b = \"\\u0041\\n\" )$b", "A\\n"),
        // A formal name, blanks, several lines.
        ("#set(${x} = 1)#{set}($y = 2)#set  (  $z\n =\n 3 )$x$y$z", "123"),
        // What cannot be calculated sets nothing.
        ("#set( $x = 1 )#set( $x = 1 / 0 )#set( $x = $count - 'a' )$x", "1"),
        // Null is the empty text.
        ("#set( $x = 1 )#set( $x = $unknown )<$x>", "<>"),
    ]);
}

#[test]
fn expressions() {
    let value = |expression: &str| evaluate(&format!("#set($x = {expression})$x"));
    for (expression, expected) in [
        // "Math": whole numbers stay whole.
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3"),
        ("7 % 4", "3"),
        ("7.0 / 2", "3.5"),
        ("10 - 2 - 3", "5"),
        ("$count*2", "6"),
        ("1791000000000 / 1000 + 7200", "1791007200"),
        ("9223372036854775807 + 1", "9.223372036854776E18"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("1e3", "1000.0"),
        ("100000000.0", "1.0E8"),
        ("0.0001", "1.0E-4"),
        ("'a' + 1", "a1"),
        ("1 + 'a' + $name", "1aVera"),
        // "Relational and Logical Operators"
        ("1 == 1.0", "true"),
        ("'1' == 1", "true"),
        ("$name == 'Vera'", "true"),
        ("$name eq \"vera\"", "false"),
        ("$name != 'Vera'", "false"),
        ("1 < 2", "true"),
        ("2 le 2", "true"),
        ("3 >= 4", "false"),
        ("3 gt 2.5", "true"),
        ("'a' < 'b'", "false"),
        ("$yes && !$no", "true"),
        ("$no || $yes", "true"),
        ("$no or $no and $yes", "false"),
        ("not $no", "true"),
        ("!!1", "true"),
        ("1 + 1 == 2 && 2 * 2 != 5", "true"),
        ("[1, 2] == [1, 2]", "true"),
        // "Range Operator"
        ("[1..4]", "[1, 2, 3, 4]"),
        ("[2..-1]", "[2, 1, 0, -1]"),
        ("[]", "[]"),
        ("{}", "{}"),
        // What has no value is the empty text.
        ("$unknown == ''", "true"),
        ("$unknown + 1", "1"),
    ] {
        assert_eq!(value(expression).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn conditions() {
    table(&[
        // "If / ElseIf / Else"
        ("#if( $yes )a#end", "a"),
        ("#if( $no )a#else b#end", " b"),
        ("#if( $count < 3 )a#elseif( $count == 3 )b#else c#end", "b"),
        ("#if( $no )a#{else}b#end", "b"),
        ("#if( !$no )a#{end}b", "ab"),
        ("#if($yes)#if($no)a#{else}b#end#end", "b"),
        // False are only null and false: not 0, not the empty text, and so not what has no value (serverless-offline#50).
        ("#if( 0 )a#end#if( '' )b#end#if( $empty )c#end", "abc"),
        ("#if( $unknown )a#end#if( $customer.x )b#end", "ab"),
        ("#if( $unknown && $unknown != '' )a#{else}b#end", "b"),
        // Formatting: a directive takes the end of its line with it.
        ("a\n#if($yes)\n  b\n#end\nc\n", "a\n  b\nc\n"),
        ("{\n  #set($x = 1)\n  \"x\": $x\n}", "{\n  \"x\": 1\n}"),
        ("#if($name != \"\")\"n\": \"$name\",#end\n1", "\"n\": \"Vera\",1"),
    ]);
}

#[test]
fn loops() {
    table(&[
        // "Foreach Loop"
        ("#foreach( $item in $list )$item #end", "one two three "),
        ("#foreach( $item in $list )$foreach.count:$item#if( $foreach.hasNext ),#end#end", "1:one,2:two,3:three"),
        ("#foreach( $item in ['a', 'b'] )$foreach.index$velocityCount#end", "0112"),
        ("#foreach( $i in [1..3] )$i#end", "123"),
        ("#foreach( $key in $customer.keySet() )$key #end", "name address tags "),
        ("#foreach( $v in {'a': 1, 'b': 2} )$v#end", "12"),
        (
            "#foreach( $e in $customer.address.entrySet() )$e.key=$e.value $e.getKey() $e#end",
            "city=Oslo city city=Oslo",
        ),
        ("#foreach( $i in [1..5] )#if( $i > 2 )#break#end$i#end.", "12."),
        ("#foreach( $a in [1..2] )#foreach( $b in [1..2] )$foreach.parent.count$b #end#end", "11 12 21 22 "),
        ("#foreach( $a in $list )#if($foreach.first)<#end$a#if($foreach.last)>#end#end", "<onetwothree>"),
        // The variable is what it was after the loop.
        ("#foreach( $name in $list )#end$name", "Vera"),
        // What is no list is not gone through.
        ("#foreach( $i in $unknown )x#end#foreach( $i in 5 )x#end#foreach( $i in [] )x#end", ""),
        ("a#stop b", "a"),
        ("#foreach( $i in [1..3] )$i#stop#end b", "1"),
    ]);
}

#[test]
fn macros_and_blocks() {
    table(&[
        // "Velocimacros", "Define"
        ("#macro( d )<tr></tr>#end#d()#d()", "<tr></tr><tr></tr>"),
        (
            "#macro( row $color $list )#foreach( $i in $list )[$color $i]#end#end#row( \"blue\" ['a','b'] )",
            "[blue a][blue b]",
        ),
        ("#macro( two $a $b )$a/$b#end#two( 1, 2 )#two( 1 )$a", "1/21/"),
        ("#define( $block )Hello $who#end#set( $who = 'World!' )$block", "Hello World!"),
        ("#define( $b )\n$name\n#end\n<$b>", "<Vera\n>"),
        ("#unknown()", "#unknown()"),
    ]);
}

#[test]
fn methods() {
    let value = |expression: &str| {
        evaluate(&format!(
            "#set($s = ' a,b,,c, ')#set($l = [1, 'x'])#set($m = {{'k': 1}})#set($i = 0)#set($x = {expression})$x"
        ))
    };
    for (expression, expected) in [
        ("$s.length()", "9"),
        ("$s.trim()", "a,b,,c,"),
        ("$s.trim().split(',')", "[a, b, , c]"),
        ("$s.trim().split(',', 2)", "[a, b,,c,]"),
        ("$s.replace(',', '+')", " a+b++c+ "),
        ("$s.replaceAll(',+', '$0.')", " a,.b,,.c,. "),
        ("$s.replaceAll('([ab])', '<$1>')", " <a>,<b>,,c, "),
        ("$s.replaceFirst('[a-c]', 'x')", " x,b,,c, "),
        ("$s.contains('b,')", "true"),
        ("$s.startsWith('a')", "false"),
        ("$s.endsWith(' ')", "true"),
        ("$s.indexOf('b')", "3"),
        ("$s.indexOf('z')", "-1"),
        ("$s.lastIndexOf(',')", "7"),
        ("$s.substring(1, 4)", "a,b"),
        ("$s.charAt(1)", "a"),
        ("$s.isEmpty()", "false"),
        ("$s.equals(' a,b,,c, ')", "true"),
        ("$name.equalsIgnoreCase('VERA')", "true"),
        ("$name.toLowerCase().concat('!')", "vera!"),
        ("$name.matches('V.*')", "true"),
        ("$name.compareTo('Vera')", "0"),
        ("$name.class.name", "java.lang.String"),
        ("$l.size()", "2"),
        // The developer guide: "`$input.path('$.pets').count()` would return 3".
        ("$list.count()", "3"),
        ("$l.get(1)", "x"),
        ("$l.contains('x')", "true"),
        ("$l.indexOf('y')", "-1"),
        ("$l.add('y')", "true"),
        ("$l.remove(0)", "1"),
        ("$l.subList(1, 2)", "[x]"),
        ("$l.isEmpty()", "false"),
        ("$m.get('k')", "1"),
        ("$m.put('k', 2)", "1"),
        ("$m.containsKey('z')", "false"),
        ("$m.containsValue(1)", "true"),
        ("$m.getOrDefault('z', 9)", "9"),
        ("$m.size()", "1"),
        ("$m.keySet()", "[k]"),
        ("$m.values()", "[1]"),
        ("$m.entrySet()", "[k=1]"),
        ("$m.isEmpty()", "false"),
        ("$m.remove('k')", "1"),
        ("$i.parseInt('42')", "42"),
        ("$price.intValue()", "249"),
        ("$count.toString().length()", "1"),
    ] {
        assert_eq!(value(expression).as_deref(), Ok(expected), "{expression}");
    }
    table(&[
        ("#set($l = [])#set($d = $l.add('a'))#set($d = $l.add(0, 'b'))#set($d = $l.addAll(['c']))$l", "[b, a, c]"),
        ("#set($m = {})#set($d = $m.put('a', 1))#set($d = $m.putAll({'b': 2}))$m$m.clear()$m", "{a=1, b=2}{}"),
        ("#set($a = [1])#set($b = $a)#set($d = $b.add(2))$a", "[1, 2]"),
        // Of API Gateway's documentation: replaceAll("\\'","'") after escapeJavaScript.
        (r#"#set($x = "it\'s")$x.replaceAll("\\'","'")"#, "it's"),
    ]);
}

#[test]
fn mistakes_are_placed_and_named() {
    for (template, line, column, message) in [
        ("a\n#if($yes)\nb", 2, 1, "#if has no #end"),
        ("#end", 1, 1, "#end ends nothing"),
        ("x #else", 1, 3, "#else without an #if"),
        ("#foreach($i of $list)#end", 1, 13, "#foreach needs \"in\""),
        ("#set($x)", 1, 8, "\"=\" is missing"),
        ("#set($x = )", 1, 11, "a value is missing"),
        ("#set($x = 'a)", 1, 11, "no closing '"),
        ("#set($x = \"say \\\"hi\\\"\")", 1, 18, "\")\" is missing"),
        ("${name", 1, 1, "no closing brace"),
        ("$list[7]", 1, 6, "the list has 3 items, and none at 7"),
        ("line\n  $name.nosuch(1)", 2, 9, "a value of class java.lang.String has no method nosuch with 1 argument"),
        ("$tool.nosuch()", 1, 7, "$tool has no method nosuch without arguments"),
        ("$tool.fail()", 1, 7, "it failed"),
        ("$name.substring(9)", 1, 7, "a range out of the text"),
        ("#set($i = 0)$i.parseInt('x')", 1, 16, "not a whole number"),
        ("$name.replaceAll('(', '')", 1, 7, "is not a pattern"),
        ("#parse('x')", 1, 1, "#parse is not supported"),
        ("#set($x = \"$name.nosuch()\")", 1, 18, "no method nosuch"),
        ("#*", 1, 1, "has no *#"),
        ("#set($name.x = 1)", 1, 6, "nothing here that could be set"),
    ] {
        let error = evaluate(template).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{template}: {error}");
        assert!(error.message.contains(message), "{template}: {error}");
    }
}

#[test]
fn what_a_template_takes_is_bounded() {
    let limits = Limits { output: 10_000, memory: 1_000_000, steps: 50_000, ..Limits::API_GATEWAY };
    for (template, message) in [
        ("#foreach($i in [1..1001])x#end", "runs more than 1000 times"),
        // What a method looks at counts.
        ("#set($l = [1..9000])#foreach($i in [1..900])#set($x = $l.contains(-1))#end", "steps"),
        ("#set($l = [1..9000])#foreach($i in [1..900])#set($x = $l.add(0, 1))#end", "steps"),
        ("#set($l = [1..1500])#foreach($i in [1..900])#set($x = $l.equals($l))#end", "steps"),
        ("#set($m = {})#foreach($i in [1..900])#foreach($j in [1..900])#set($m[\"$i $j\"] = 1)#end#end", "steps"),
        (
            "#set($t = 'a')#foreach($i in [1..990])#set($x = $t.matches('(a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t|u|v|w|x|y|z)*'))#end",
            "steps",
        ),
        ("#set($r = [1..900])#foreach($i in $r)#foreach($j in $r)#set($x = 1)#end#end", "steps"),
        ("#foreach($i in [1..900])0123456789ABCDEF#end", "the output is longer"),
        ("#set($x = 'ab')#foreach($i in [1..30])#set($x = $x + $x)#end", "too much memory"),
        ("#set($x = [1..99999999999])", "too much memory"),
        ("#set($l = [])#set($d = $l.add($l))$l", "contains itself"),
        ("#set($m = {})#set($m.m = $m)$m", "contains itself"),
        ("#set($l = [1])#foreach($i in [1..40])#set($l = [$l, $l])#end$l", "the output is longer"),
        ("#macro(m)#m()#end#m()", "a macro calls itself"),
        ("#define($b)$b#end$b", "nests too deeply"),
        (
            "#set($s = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')#foreach($i in [1..9])#set($s = $s.replaceAll('', $s))#end",
            "memory",
        ),
    ] {
        let error = within(limits, template).unwrap_err();
        assert!(error.message.contains(message), "{template}: {error}");
    }
    for template in [
        "#if(1)".repeat(10_000),
        format!("#set($x = {})", "(".repeat(10_000)),
        format!("#set($x = {}1)", "!".repeat(10_001)),
        format!("#set($x = {}1)", "[".repeat(10_000)),
        format!("$a{}", "[$a".repeat(10_000)),
        format!("$a{}", ".b(".repeat(10_000)),
        "x".repeat(400_000),
    ] {
        let _ = within(limits, &template);
    }
    let sum = format!("#set($x = 1{})$x", " + 1".repeat(5_000));
    assert_eq!(within(limits, &sum).as_deref(), Ok("5001"));
}

/// Parts of templates, well formed and not.
fn parts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("$"),
        Just("#"),
        Just("\\"),
        Just("{"),
        Just("}"),
        Just("("),
        Just(")"),
        Just("["),
        Just("]"),
        Just("\""),
        Just("'"),
        Just("!"),
        Just("."),
        Just(".."),
        Just(","),
        Just("name"),
        Just("$name"),
        Just("$list"),
        Just("$customer"),
        Just("#set($x = "),
        Just("#if("),
        Just("#elseif("),
        Just("#else"),
        Just("#end"),
        Just("#foreach($i in "),
        Just("#break"),
        Just("#stop"),
        Just("#macro(m $a)"),
        Just("#m("),
        Just("#define($d)"),
        Just("##"),
        Just("#*"),
        Just("*#"),
        Just("#[["),
        Just("]]#"),
        Just(" "),
        Just("\n"),
        Just("1"),
        Just("-"),
        Just("+"),
        Just("=="),
        Just("&&"),
        Just(".size()"),
        Just(".substring("),
        Just(".put('a', "),
        Just(".add("),
        Just(".replaceAll("),
        Just("ü"),
        Just("\u{1F600}"),
        Just("${"),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_template_panics(template in parts()) {
        let limits = Limits { output: 10_000, memory: 100_000, steps: 10_000, ..Limits::API_GATEWAY };
        if let Ok(text) = within(limits, &template) {
            prop_assert!(text.len() <= 10_100 + 64);
        }
    }

    #[test]
    fn text_without_signs_is_output_as_it_is(text in "[^$#\\\\]{0,200}") {
        prop_assert_eq!(evaluate(&text), Ok(text));
    }

    #[test]
    fn json_from_json_is_the_same(number in any::<i64>(), text in ".{0,20}") {
        let json = json!({ "a": [number, { "b": text }, null, true] });
        let mut heap = Heap::new(Limits::API_GATEWAY);
        let value = heap.add_json(&json).unwrap();
        prop_assert_eq!(heap.to_json(&value).unwrap(), json);
    }
}
