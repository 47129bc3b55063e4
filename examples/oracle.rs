use jax_mps::{lower, mlx, program, stablehlo};
#[path = "../src/passes/mod.rs"]
#[allow(dead_code)]
mod passes;
use mlx::{Array, DeviceKind, Stream};
fn case(dir: &str, name: &str) -> Result<(), String> {
    let bytes = std::fs::read(format!("{dir}/{name}.mlirbc")).map_err(|e| e.to_string())?;
    let mut program = stablehlo::read(&bytes).map_err(|e| format!("read: {e}"))?;
    passes::run(&mut program, |_, _, _| ()).map_err(|e| format!("passes: {e}"))?;
    let main = program.main().ok_or("no main")?;
    let plan = lower::compile(&program, main).map_err(|e| format!("lower: {e}"))?;
    if std::env::var("DUMP").is_ok() {
        println!("{plan}");
    }
    let stream = Stream::get(DeviceKind::Cpu).map_err(|e| e.to_string())?;
    let mut arrays = vec![];
    for (i, &a) in main.body.arguments.iter().enumerate() {
        let ty = main.tensor(a).ok_or("not tensor")?;
        let b = std::fs::read(format!("{dir}/{name}.in{i}")).map_err(|e| e.to_string())?;
        arrays.push(
            Array::from_bytes(&b, &lower::shape_i32(&ty.shape).unwrap(), lower::storage(ty.element).ok_or("storage")?)
                .map_err(|e| e.to_string())?,
        );
    }
    let refs: Vec<&Array> = arrays.iter().collect();
    let t = std::time::Instant::now();
    let outs = plan.run(&refs, stream).map_err(|e| format!("run: {e}"))?;
    for (i, o) in outs.iter().enumerate() {
        let o = mlx::contiguous(o, stream).map_err(|e| e.to_string())?;
        stream.evaluate(&[&o]).map_err(|e| format!("eval: {e}"))?;
        std::fs::write(format!("{dir}/{name}.out{i}"), o.as_bytes().map_err(|e| e.to_string())?).unwrap();
    }
    std::fs::write(format!("{dir}/{name}.time"), format!("{}", t.elapsed().as_secs_f64())).unwrap();
    Ok(())
}
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let list = std::fs::read_to_string(format!("{dir}/list")).unwrap();
    for name in list.lines() {
        let r = std::panic::catch_unwind(|| case(&dir, name)).unwrap_or_else(|_| Err("panic".into()));
        std::fs::write(
            format!("{dir}/{name}.status"),
            match r {
                Ok(()) => "ok".into(),
                Err(e) => e,
            },
        )
        .unwrap();
    }
}
